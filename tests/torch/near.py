"""Outputs of a lower precision beside those of float32."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from tests.torch.reference import vectors

from m3kit.vectors import M3Output


def assert_near(
    found: Sequence[M3Output],
    exact: Sequence[M3Output],
    *,
    cosine: float,
    mean: float,
    worst: float,
) -> None:
    """
    Compare all three representations.

    Args:
        found: Those of a lower precision.
        exact: Those of float32.
        cosine: The least of dense and ColBERT vectors.
        mean: Over texts, the most by which the worst lexical weight of one is off, as a share of
            its largest.
        worst: The most of any text.
    """
    shares = []
    for one, other in zip(found, exact, strict=True):
        (dense, sparse, colbert), (dense_, sparse_, colbert_) = vectors(one), vectors(other)
        np.testing.assert_allclose(np.linalg.norm(colbert, axis=1), 1, atol=1e-6)
        ours, theirs = sparse.to_dict(), sparse_.to_dict()
        if not theirs:  # of a text without a known word, there is nearly nothing to round
            continue
        assert dense @ dense_ > cosine
        assert (colbert * colbert_).sum(1).min() > cosine
        off = [abs(ours.get(id_, 0) - theirs.get(id_, 0)) for id_ in ours.keys() | theirs.keys()]
        shares.append(max(off) / max(theirs.values()))
    assert np.mean(shares) < mean
    assert max(shares) < worst
