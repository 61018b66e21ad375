"""What is wrong with vectors, compared with those of the same texts that are right."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from m3kit.vectors import REPS, Floats, M3Output, Rep, Sparse


@dataclass(frozen=True, slots=True)
class Finding:
    """
    Something that is wrong.

    Args:
        name: What programs call it: `"sparse-log1p"`.
        message: What people read, with what to do.
    """

    name: str
    message: str


_Finding: TypeAlias = Finding | None


def compare(
    actual: Sequence[M3Output],
    expected: Sequence[M3Output],
    reps: Collection[Rep],
    *,
    tolerance: float,
) -> list[Finding]:
    """
    Compare outputs with those that are right, and name what differs.

    Args:
        actual: What is examined.
        expected: The right outputs of the same texts.
        reps: What all of both carry.
        tolerance: How far a number may be off.

    Returns:
        At most a finding for each representation.
    """
    checks = [_CHECKS[rep](actual, expected, tolerance) for rep in REPS if rep in reps]
    return [finding for finding in checks if finding is not None]


def _dense(actual: Sequence[M3Output], expected: Sequence[M3Output], tolerance: float) -> _Finding:
    vectors, right = (stacked(outputs) for outputs in (actual, expected))
    if not np.isfinite(vectors).all():
        return Finding("dense-not-finite", "dense vectors hold NaN; half precision overflowed")
    if _close(vectors, right, tolerance):
        return None
    lengths = np.linalg.norm(vectors, axis=1)
    if _close(vectors / np.maximum(lengths, 1e-12)[:, None], right, tolerance):
        return Finding("dense-not-normalised", "dense vectors are not of length 1; normalise them")
    for order in (np.roll(np.arange(len(vectors)), shift) for shift in range(1, len(vectors))):
        if _close(vectors[order], right, tolerance):
            return Finding("order", "the vectors come back in another order than the texts")
    near = float(np.mean(np.sum(vectors * right, axis=1) / np.maximum(lengths, 1e-12)))
    if near > 0.99:
        return Finding(
            "dense-inexact",
            f"dense vectors are off by {np.abs(vectors - right).max():.1g}: quantised weights, or "
            "texts that are not the same (an instruction, another normalisation)",
        )
    return Finding(
        "dense-other",
        f"dense vectors have a mean cosine of {near:.2f} with the reference's: mean instead of CLS "
        "pooling, or another model",
    )


def _sparse(actual: Sequence[M3Output], expected: Sequence[M3Output], tolerance: float) -> _Finding:
    pairs = [
        (examined.sparse, right.sparse)
        for examined, right in zip(actual, expected, strict=True)
        if examined.sparse is not None and right.sparse is not None
    ]
    if all(
        _alike(examined, right, lambda weights: weights, tolerance) for examined, right in pairs
    ):
        return None
    if all(_alike(examined, right, np.log1p, tolerance) for examined, right in pairs):
        return Finding("sparse-log1p", "weights went through log1p, as SPLADE's do; M3's do not")
    known: set[int] = set().union(*(right.to_dict() for _, right in pairs))
    present: set[int] = set().union(*(examined.to_dict() for examined, _ in pairs))
    always = set.intersection(*(set(examined.to_dict()) for examined, _ in pairs))
    if always and pairs and always - known:
        return Finding("sparse-special-tokens", f"special tokens have weights: {sorted(always)}")
    if present < known and _shared_are_alike(pairs, tolerance):
        return Finding(
            "sparse-dropped", f"{len(known - present)} of {len(known)} weights are missing"
        )
    ratios = [
        examined.to_dict()[id_] / weight
        for examined, right in pairs
        for id_, weight in right.to_dict().items()
        if id_ in examined.to_dict()
    ]
    if ratios and present == known:
        if max(ratios) > 1.5 and float(np.median(ratios)) < 1.1:
            return Finding(
                "sparse-summed", "weights of a repeated token are added up; M3 takes the highest"
            )
        if np.ptp(ratios) < 0.05:
            return Finding("sparse-scaled", f"weights are {np.mean(ratios):.2f} times the model's")
    if not present & known:
        return Finding("sparse-ids", "no token id is the reference's: another tokenizer")
    return Finding("sparse-other", "weights are not the model's: another head, or another model")


def _colbert(
    actual: Sequence[M3Output], expected: Sequence[M3Output], tolerance: float
) -> _Finding:
    pairs = [
        (examined.colbert, right.colbert)
        for examined, right in zip(actual, expected, strict=True)
        if examined.colbert is not None and right.colbert is not None
    ]
    if all(_same(examined, right, tolerance) for examined, right in pairs):
        return None
    unit = [(unit_rows(examined), right) for examined, right in pairs]
    if all(_same(examined, right, tolerance) for examined, right in unit):
        return Finding("colbert-not-normalised", "ColBERT's rows are not of length 1")
    shapes: Sequence[tuple[str, str, Callable[[Floats, Floats], bool]]] = (
        (
            "colbert-cls",
            "ColBERT has a row for the opening token",
            lambda examined, right: _same(examined[1:], right, tolerance),
        ),
        (
            "colbert-eos",
            "ColBERT lacks the row of the closing token",
            lambda examined, right: len(right) == 1 or _same(examined, right[:-1], tolerance),
        ),
        (
            "colbert-padded",
            "ColBERT has rows of padding",
            lambda examined, right: _same(examined[: len(right)], right, tolerance),
        ),
        (
            "colbert-pooled",
            "ColBERT has fewer rows than the text has tokens: they were pooled or cut",
            lambda examined, right: len(examined) < len(right) or _same(examined, right, tolerance),
        ),
    )
    for name, message, fits in shapes:
        if all(fits(examined, right) for examined, right in unit):
            return Finding(name, message)
    return Finding("colbert-other", "ColBERT's rows are not the model's: another head or model")


_CHECKS: dict[Rep, Callable[[Sequence[M3Output], Sequence[M3Output], float], _Finding]] = {
    "dense": _dense,
    "sparse": _sparse,
    "colbert": _colbert,
}


def stacked(outputs: Sequence[M3Output]) -> Floats:
    """Stack dense vectors."""
    stacked: Floats = np.stack([output.dense for output in outputs if output.dense is not None])
    return stacked


def _close(vectors: Floats, right: Floats, tolerance: float) -> bool:
    return vectors.shape == right.shape and bool(
        np.abs(vectors - right).max(initial=0) <= tolerance
    )


def _same(vectors: Floats, right: Floats, tolerance: float) -> bool:
    return _close(vectors, right, tolerance)


def unit_rows(rows: Floats) -> Floats:
    """Normalise rows; those of zeros stay."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: Floats = (rows / np.maximum(lengths, 1e-12)).astype(np.float32)
    return unit


def _alike(
    actual: Sparse, expected: Sparse, change: Callable[[Floats], Floats], tolerance: float
) -> bool:
    """Compare weights; a weight that is almost nothing may be missing."""
    changed = change(expected.weights).tolist()
    weights, right = actual.to_dict(), dict(zip(expected.ids.tolist(), changed, strict=True))
    return all(
        abs(weights.get(id_, 0.0) - right.get(id_, 0.0)) <= tolerance
        for id_ in weights.keys() | right.keys()
    )


def _shared_are_alike(pairs: Sequence[tuple[Sparse, Sparse]], tolerance: float) -> bool:
    return all(
        abs(weight - right.to_dict().get(id_, 9.0)) <= tolerance
        for examined, right in pairs
        for id_, weight in examined.to_dict().items()
    )
