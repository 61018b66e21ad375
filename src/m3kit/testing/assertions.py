"""Comparisons of hits and vectors with what is expected."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import pytest

from m3kit.records import Hit
from m3kit.vectors import Floats, M3Output, Rep

PRECISION = 1e-5
"""The largest error of a score, for an engine that computes in float32."""


def assert_ranking(
    hits: Sequence[Hit], expected: Sequence[tuple[str, float]], *, within: float = PRECISION
) -> None:
    """
    Compare hits with ids and scores: the same order, and scores to `within`.

    If that is more than `PRECISION`, documents with scores that close may be in another order, and
    a document that was nearly expected may stand for the last.
    """
    assert [hit.score for hit in hits] == pytest.approx([pair[1] for pair in expected], abs=within)
    if within <= PRECISION:
        assert [hit.document.id for hit in hits] == [id_ for id_, _ in expected]
    assert len({hit.document.id for hit in hits}) == len(hits)
    for hit in hits:
        score = dict(expected).get(hit.document.id, expected[-1][1])
        assert hit.score == pytest.approx(score, abs=within)


def assert_same_hits(
    hits: Sequence[Hit], expected: Sequence[Hit], *, within: float = PRECISION
) -> None:
    """Compare hits with the oracle's as `assert_ranking` does, with their documents and scores."""
    assert_ranking(hits, [(hit.document.id, hit.score) for hit in expected], within=within)
    by_id = {hit.document.id: hit for hit in expected}
    for hit in hits:
        other = by_id.get(hit.document.id, hit)
        assert hit.document == other.document
        assert dict(hit.scores) == pytest.approx(dict(other.scores), abs=within)


def assert_same_vectors(got: M3Output, expected: M3Output, reps: Collection[Rep]) -> None:
    """Check that exactly `reps` came back, with the expected vectors."""
    assert got.reps == frozenset(reps)
    _assert_close(got.dense, expected.dense if "dense" in reps else None)
    _assert_close(got.colbert, expected.colbert if "colbert" in reps else None)
    if got.sparse is not None and expected.sparse is not None:
        assert got.sparse.ids.tolist() == expected.sparse.ids.tolist()
        _assert_close(got.sparse.weights, expected.sparse.weights)


def _assert_close(got: Floats | None, expected: Floats | None) -> None:
    if got is not None and expected is not None:
        assert got.shape == expected.shape
        assert np.abs(got - expected).max(initial=0) < 1e-6


def typed(value: object) -> object:
    """Spell a JSON value with its types, so that `1`, `1.0` and `True` differ."""
    if isinstance(value, dict):
        return {key: typed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [typed(item) for item in value]
    return (type(value).__name__, value)
