"""The kernels: one affine map each, `(rows, in)` to `(rows, out)`, with what is fused behind it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol, TypeAlias

import torch
import torch.nn.functional as F  # noqa: N812  # PyTorch's own name for it

_Op: TypeAlias = Any  # operators of oneDNN, which PyTorch's stubs do not know
_ROWS = 512  # of a usual input, for which oneDNN lays a matrix out
_CACHED = 256  # rows for each core, whose cache holds what is between the products of int8


def parts(rows: int) -> Iterator[slice]:
    """Divide rows for int8, so that what is between its products stays in the caches."""
    step = _CACHED * torch.get_num_threads()
    return (slice(start, start + step) for start in range(0, rows, step))


class Kernel(Protocol):
    """An affine map over the last dimension, in three forms."""

    def __call__(self, x: torch.Tensor, /) -> torch.Tensor:
        """Map `(rows, in)` to `(rows, out)`."""
        ...

    def gelu(self, x: torch.Tensor, /) -> torch.Tensor:
        """Map, and apply the exact GELU."""
        ...

    def add(self, x: torch.Tensor, rest: torch.Tensor, /) -> torch.Tensor:
        """Map and add to `rest`, float32 of shape `(rows, out)`, which may be overwritten."""
        ...


class Plain:
    """PyTorch's own product, on any device."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor, dtype: torch.dtype) -> None:
        self._weight = weight.to(dtype)
        self._bias = bias.to(dtype)

    def __call__(self, x: torch.Tensor, /) -> torch.Tensor:
        """See `Kernel`."""
        return F.linear(x.to(self._weight.dtype), self._weight, self._bias)

    def gelu(self, x: torch.Tensor, /) -> torch.Tensor:
        """See `Kernel`."""
        return F.gelu(self(x))

    def add(self, x: torch.Tensor, rest: torch.Tensor, /) -> torch.Tensor:
        """See `Kernel`."""
        return rest.add_(self(x))


class Prepacked:
    """
    OneDNN's product, its matrix laid out beforehand; float32 or bf16 on a CPU.

    The operators are those that PyTorch's own compiler emits, and are not public: what they
    compute is checked before they are used, see `choice`.
    """

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor, dtype: torch.dtype) -> None:
        ops: _Op = torch.ops.mkldnn
        self._linear: _Op = ops._linear_pointwise  # noqa: SLF001  # see the class's docstring
        self._dtype = dtype
        plain = weight.to(dtype).contiguous()
        self._weight = ops._reorder_linear_weight(plain, _ROWS)  # noqa: SLF001  # the same
        self._bias = bias.to(dtype)

    def __call__(self, x: torch.Tensor, /) -> torch.Tensor:
        """See `Kernel`."""
        return self._mapped(x, "none", "")

    def gelu(self, x: torch.Tensor, /) -> torch.Tensor:
        """See `Kernel`."""
        return self._mapped(x, "gelu", "none")

    def add(self, x: torch.Tensor, rest: torch.Tensor, /) -> torch.Tensor:
        """See `Kernel`."""
        if self._dtype != rest.dtype:
            return rest.add_(self(x))
        x = x.contiguous()
        added: torch.Tensor = self._linear.binary(x, rest, self._weight, self._bias, "add")
        return added

    def _mapped(self, x: torch.Tensor, then: str, how: str) -> torch.Tensor:
        x = x.to(self._dtype).contiguous()
        mapped: torch.Tensor = self._linear(x, self._weight, self._bias, then, [], how)
        return mapped


class Int8:
    """
    OneDNN's product of bytes: a scale for each row of the matrix and for each row of the input.

    The input's scales are found while it is computed, a row at a time, so that a text's vectors
    do not depend on its neighbours.
    """

    _ZERO = 128  # the byte that stands for 0 in an input

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor) -> None:
        ops: _Op = torch.ops.onednn
        self._linear: _Op = ops.qlinear_pointwise
        scale = weight.abs().amax(1).clamp_min(1e-30) / 127
        whole = torch.round(weight / scale[:, None]).to(torch.int8)
        self._weight = ops.qlinear_prepack(whole.contiguous(), [_ROWS, weight.shape[1]])
        self._scale = scale.contiguous()
        self._zeros = torch.zeros(len(weight), dtype=torch.int64)
        self._bias = bias

    def __call__(self, x: torch.Tensor, /) -> torch.Tensor:
        """See `Kernel`."""
        mapped = x.new_empty(len(x), len(self._bias))
        for part in parts(len(x)):
            torch.addcmul(self._bias, *self._scaled(x[part]), out=mapped[part])
        return mapped

    def gelu(self, x: torch.Tensor, /) -> torch.Tensor:
        """See `Kernel`."""
        return F.gelu(self(x))

    def add(self, x: torch.Tensor, rest: torch.Tensor, /) -> torch.Tensor:
        """See `Kernel`."""
        return rest.addcmul_(*self._scaled(x)).add_(self._bias)

    def product(self, x: torch.Tensor) -> torch.Tensor:
        """Multiply bytes with the matrix, but for the input's scale; `(rows, in)` of uint8."""
        mapped: torch.Tensor = self._linear(
            *(x, 1.0, self._ZERO, self._weight, self._scale, self._zeros),
            *(None, 1.0, 0, torch.float32, "none", [], ""),
        )
        return mapped

    def _scaled(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the product of the input's bytes, and the scale of each of its rows."""
        largest = torch.maximum(x.amax(1, keepdim=True), -x.amin(1, keepdim=True))
        scale = largest.clamp_min_(1e-30).div_(127)
        whole = (x * scale.reciprocal()).round_().to(torch.int8)  # to uint8 takes twice as long
        return self.product(whole.view(torch.uint8).bitwise_xor_(self._ZERO)), scale
