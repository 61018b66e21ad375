"""
Attention over one long text: products in blocks beside PyTorch's fused attention, on the CPU.

    python -m benchmarks.attention [--tokens 512 8192] [--rounds 5] [--clock cpu]

Both are given random queries, keys and values of BGE-M3's size in the same precision, and take
turns; a ratio is the median over the rounds, the error is the largest difference from float32. On a
busy machine `OMP_NUM_THREADS=1` and `--clock cpu` measure the CPU time of one thread.
"""

from __future__ import annotations

import argparse
from statistics import median

import torch
import torch.nn.functional as F  # noqa: N812  # as PyTorch's documentation does
from benchmarks.full_size import WIDTH
from benchmarks.machine import CLOCKS, describe, to_line

from m3kit.torch.attention import in_blocks
from m3kit.torch.kernels.precision import cpu_has_bf16

_HEADS = 16
_WAYS = {"PyTorch": F.scaled_dot_product_attention, "m3kit, in blocks": in_blocks}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().splitlines()[0])
    parser.add_argument("--tokens", type=int, nargs="+", default=[512, 2048, 8192])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    args = parser.parse_args()
    machine = {**describe(), "clock": args.clock}
    print(to_line(machine))
    print("| tokens | precision | name | ms | ratio | error |\n|---:|---|---|---:|---:|---:|")
    dtypes = [torch.float32, torch.bfloat16] if cpu_has_bf16() else [torch.float32]
    for tokens in args.tokens:
        for dtype in dtypes:
            for row in compare(tokens, dtype, args.rounds, args.clock):
                print("| " + " | ".join(map(str, row)) + " |", flush=True)


@torch.inference_mode()
def compare(
    tokens: int, dtype: torch.dtype, rounds: int, clock: str
) -> list[tuple[int, str, str, float, float, str]]:
    """Take turns; give a row for each way, with its time, ratio and error."""
    random = torch.Generator().manual_seed(tokens)
    given = torch.randn(3, 1, _HEADS, tokens, WIDTH // _HEADS, generator=random)
    exact = F.scaled_dot_product_attention(*given)
    times: dict[str, list[float]] = {name: [] for name in _WAYS}
    errors: dict[str, float] = {}
    for _ in range(rounds + 1):  # the first round warms up
        for name, attend in _WAYS.items():
            start = CLOCKS[clock]()
            mixed = attend(*given.to(dtype))
            times[name].append(CLOCKS[clock]() - start)
            errors[name] = float((mixed.float() - exact).abs().max())
    kind = str(dtype).removeprefix("torch.")
    return [
        (
            *(tokens, kind, name, round(1e3 * median(measured[1:]), 1)),
            round(
                median(a / b for a, b in zip(times["PyTorch"][1:], measured[1:], strict=True)), 2
            ),
            f"{errors[name]:.1e}",
        )
        for name, measured in times.items()
    ]


if __name__ == "__main__":
    main()
