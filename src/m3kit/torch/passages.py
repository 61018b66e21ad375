"""ColBERT vectors of many documents on a device, to be scored for one query after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812  # PyTorch's own name for it

from m3kit.scoring import Stacked, mean_of_best
from m3kit.torch.kernels import compute_dtype, resolve
from m3kit.vectors import Floats

_FEW = 32
"""Query tokens up to which a product in bf16 is faster the other way round, on CPUs."""


class Passages:
    """
    Documents whose ColBERT vectors are concatenated, as in `m3kit.scoring.Stacked`.

    In float32 scores are those of `m3kit.scoring.maxsim`; in bf16 or fp16 vectors take half the
    memory, products are faster, and scores of unit vectors differ by some 1e-4.

    Args:
        documents: Each of shape `(tokens, dim)`, at least one token, at least one document.
        device: As PyTorch names it.
        precision: Of the products: `"auto"` is fp16 on an accelerator, bf16 on a CPU that has it
            in hardware, else fp32.

    Raises:
        ValueError: If the device does not compute in that precision.
    """

    def __init__(
        self,
        documents: Sequence[Floats],
        *,
        device: str = "cpu",
        precision: Literal["fp32", "bf16", "fp16", "auto"] = "auto",
    ) -> None:
        place = torch.device(device)
        self._dtype = compute_dtype(resolve(precision, place))
        stacked = Stacked.of(documents)
        self._starts, self._total = stacked.starts, stacked.total
        self._tokens = torch.from_numpy(stacked.tokens).to(place, self._dtype)

    def __len__(self) -> int:
        return len(self._starts)

    @torch.inference_mode()
    def __call__(self, query: Floats) -> Floats:
        """Score every document for a query of shape `(tokens, dim)`; see `m3kit.scoring.maxsim`."""
        vectors = torch.from_numpy(query).to(self._tokens.device, self._dtype)
        if self._dtype is torch.bfloat16 and len(query) <= _FEW:
            similarity = F.linear(vectors, self._tokens).T
        else:
            similarity = F.linear(self._tokens, vectors)
        rows = similarity.float().cpu().numpy()[: self._total]
        return mean_of_best(rows, self._starts)
