"""The machine of a benchmark: its name, its capabilities, and its fastest matrix product."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import torch

from m3kit.torch.kernels import Precision, compute_dtype
from m3kit.torch.kernels.choice import candidates
from m3kit.torch.kernels.linear import Int8
from m3kit.torch.kernels.precision import cpu_capabilities

_CAPABILITIES = (
    "avx2",
    "avx512_f",
    "avx512_vnni",
    "avx512_bf16",
    "amx_bf16",
    "amx_int8",
    "sve",
    "bf16",
)
CLOCKS: Mapping[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}
"""Wall-clock seconds, or CPU seconds of the process, for busy machines with OMP_NUM_THREADS=1."""

_SHAPE = (2048, 1024, 4096)  # rows, inputs, outputs: the largest product of a forward pass


def describe() -> dict[str, str | int]:
    """Return the CPU, its capabilities, and PyTorch with its threads."""
    available = cpu_capabilities()
    return {
        "cpu": _cpu_name(),
        "capabilities": " ".join(name for name in _CAPABILITIES if available.get(name))
        or "unknown",
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }


def to_line(machine: Mapping[str, object]) -> str:
    """Format a description as a line."""
    return ", ".join(f"{key}: {value}" for key, value in machine.items())


def gemm_peak(precision: Precision, clock: Callable[[], float]) -> float:
    """
    Measure the fastest matrix product that PyTorch reaches in a precision, in FLOP/s.

    That of int8 is oneDNN's product alone, without the scales that an input of float32 needs.
    """
    rows, inputs, outputs = _SHAPE
    weight, bias = torch.randn(outputs, inputs), torch.randn(outputs)
    x = torch.randn(rows, inputs)
    with torch.inference_mode():
        if precision == "int8":
            product, whole = Int8(weight, bias).product, x.to(torch.uint8)
            seconds = best_seconds(lambda: product(whole), clock)
        else:
            x = x.to(compute_dtype(precision))
            kernels = [make(weight, bias) for make in candidates(precision)]
            seconds = min(best_seconds(partial(kernel, x), clock) for kernel in kernels)
    return 2 * rows * inputs * outputs / seconds


def best_seconds(call: Callable[[], object], clock: Callable[[], float], rounds: int = 5) -> float:
    """Return the shortest time of a few calls, after one to warm up."""
    call()
    times = []
    for _ in range(rounds):
        start = clock()
        call()
        times.append(clock() - start)
    return min(times)


def _cpu_name() -> str:
    path = Path("/proc/cpuinfo")
    if path.is_file():
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
