"""Outputs beside outputs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from tests.torch.reference import vectors

from m3kit.vectors import M3Output


def assert_close(
    ours: Sequence[M3Output], theirs: Sequence[M3Output], *, tolerance: float = 1e-5
) -> None:
    """Compare all three representations, and the sets of weighted tokens exactly."""
    for one, other in zip(ours, theirs, strict=True):
        (dense, sparse, colbert), (dense_, sparse_, colbert_) = vectors(one), vectors(other)
        np.testing.assert_allclose(dense, dense_, rtol=0, atol=tolerance)
        assert sparse.ids.tolist() == sparse_.ids.tolist()
        np.testing.assert_allclose(sparse.weights, sparse_.weights, rtol=0, atol=tolerance)
        np.testing.assert_allclose(colbert, colbert_, rtol=0, atol=tolerance)
