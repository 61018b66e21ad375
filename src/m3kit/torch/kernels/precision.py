"""What the matrix products are computed in, and where each precision may run."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, get_args

import torch

Precision: TypeAlias = Literal["fp32", "bf16", "fp16", "int8"]
"""Of the matrix products; sums, norms and the heads are float32 in each of them."""

_BF16_CPU = ("avx512_bf16", "amx_bf16", "avx10_2", "bf16", "sve_bf16")
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def resolve(wanted: str, device: torch.device) -> Precision:
    """
    Say what a precision means on a device.

    `"auto"` is the fastest that stays close to float32: fp16 on an accelerator, bf16 on a CPU
    that computes it in hardware, else fp32.

    Raises:
        ValueError: If there is no such precision, or the device is not made for it.
    """
    known = get_args(Precision)
    on_cpu = device.type == "cpu"
    match wanted:
        case "auto":
            if on_cpu:
                return "bf16" if cpu_has_bf16() else "fp32"
            return "fp16"
        case "bf16" if on_cpu and not cpu_has_bf16():
            raise ValueError(
                "this CPU does not compute bf16 in hardware, and would be slower in it than in "
                'fp32; pass precision="auto", which takes what the machine has, or "fp32"'
            )
        case "fp16" if on_cpu:
            raise ValueError('fp16 is for accelerators; on a CPU pass precision="auto"')
        case "int8" if not on_cpu:
            raise ValueError(f'int8 is for CPUs; on {device} pass precision="fp16"')
        case "fp32" | "bf16" | "fp16" | "int8":
            return wanted
        case _:
            raise ValueError(f"precision is one of {(*known, 'auto')}, not {wanted!r}")


def compute_dtype(precision: Precision) -> torch.dtype:
    """Return the type of queries, keys and values; those of int8 stay in float32."""
    return _DTYPES.get(precision, torch.float32)


def cpu_has_bf16() -> bool:
    """Tell whether the CPU multiplies bf16 in hardware; emulated it is slower than float32."""
    return any(cpu_capabilities().get(name) for name in _BF16_CPU)


def cpu_capabilities() -> dict[str, Any]:
    """Return what PyTorch reports about the CPU; nothing in older releases."""
    get_capabilities = getattr(torch.cpu, "get_capabilities", dict)
    return dict(get_capabilities())
