"""Which kernel a matrix gets: the fastest of those that compute right, measured on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import TypeAlias

import torch
import torch.nn.functional as F  # noqa: N812  # PyTorch's own name for it

from m3kit.torch.kernels.linear import Int8, Kernel, Plain, Prepacked
from m3kit.torch.kernels.precision import Precision, compute_dtype

Make: TypeAlias = Callable[[torch.Tensor, torch.Tensor], Kernel]
"""From a matrix and a bias to their kernel."""

_ROWS = 64  # that are measured: between a query and a batch of documents
_ROUNDS = 5  # the first one warms up
_SMALL = 2**18  # elements of a matrix that takes no time worth measuring
_LEAD = 0.8  # a kernel further down the list has to be this much faster
_TOLERANCE = {"fp32": 1e-4, "bf16": 0.05, "int8": 0.1}  # for values around 1
_REFUSALS = (RuntimeError, NotImplementedError, AttributeError, TypeError)
"""What PyTorch raises for an operator that it lacks, or that has changed."""


def pack(weight: torch.Tensor, bias: torch.Tensor, precision: Precision) -> Kernel:
    """
    Make the kernel of one matrix, of shape `(out, in)`, which may be dropped then.

    On a CPU the first large matrix of a shape costs some ten milliseconds of measuring, once in a
    process. Where times are near, oneDNN's layouts go first: with them a row of the result does
    not depend on how many rows there are.

    Raises:
        ValueError: If this build of PyTorch does not compute in that precision.
    """
    if weight.device.type != "cpu":
        return Plain(weight, bias, compute_dtype(precision))
    outputs, inputs = weight.shape
    return _choose(outputs, inputs, precision)(weight, bias)


def candidates(precision: Precision) -> Sequence[Make]:
    """Return the kernels of a CPU, the most welcome one first."""
    if precision == "int8":
        return (Int8,)
    dtype = compute_dtype(precision)
    return partial(Prepacked, dtype=dtype), partial(Plain, dtype=dtype)


@cache
def _choose(outputs: int, inputs: int, precision: Precision) -> Make:
    random = torch.Generator().manual_seed(0)
    weight = torch.randn(outputs, inputs, generator=random) * inputs**-0.5
    bias = torch.randn(outputs, generator=random)
    x = torch.randn(_ROWS, inputs, generator=random)
    tolerance = _TOLERANCE[precision]
    with torch.inference_mode():
        right = [
            make for make in candidates(precision) if computes(make, weight, bias, x[:8], tolerance)
        ]
        if not right:
            raise ValueError(
                f"this build of PyTorch ({torch.__version__}) does not compute {precision} "
                'on this CPU; pass precision="fp32"'
            )
        return right[0] if weight.numel() < _SMALL else fastest(right, weight, bias, x)


def computes(
    make: Make, weight: torch.Tensor, bias: torch.Tensor, x: torch.Tensor, tolerance: float
) -> bool:
    """Tell whether a kernel runs here, and all its forms equal PyTorch's within a tolerance."""
    plain = F.linear(x, weight, bias)
    rest = plain.flip(0)
    try:
        kernel = make(weight, bias)
        computed = kernel(x), kernel.gelu(x), kernel.add(x, rest.clone())
    except _REFUSALS:
        return False
    expected = plain, F.gelu(plain), rest + plain
    return all(
        result.shape == exact.shape and float((result - exact).abs().max()) <= tolerance
        for result, exact in zip(computed, expected, strict=True)
    )


def fastest(
    makers: Sequence[Make], weight: torch.Tensor, bias: torch.Tensor, x: torch.Tensor
) -> Make:
    """Measure kernels in turn, each by its least time, which a busy machine disturbs least."""
    if len(makers) == 1:
        return makers[0]
    kernels = [make(weight, bias) for make in makers]
    rounds = [[_seconds(kernel, x) for kernel in kernels] for _ in range(_ROUNDS)]
    times = [min(times) * _LEAD**-rank for rank, times in enumerate(zip(*rounds, strict=True))]
    return makers[times.index(min(times))]


def _seconds(kernel: Kernel, x: torch.Tensor) -> float:
    start = time.perf_counter()
    kernel(x)
    return time.perf_counter() - start
