"""What is wrong with an encoder, held against another of the same model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from m3kit.encoder import Encoder
from m3kit.pairs import CuttingEncoder
from m3kit.vectors import REPS, Floats, M3Output, Rep, Sparse

PROBES = (
    "Insert rows and columns into a table of the text document.",
    "Zeilen und Spalten: Zeilen, Spalten, Zeilen.",
    "在文本文档的表格中插入行和列。",
    "",
)
"""Texts whose vectors tell the usual mistakes apart; one repeats its words, one has none."""

_LENGTHS = (128, 256, 512, 1024, 2048, 4096)
"""Tokens at which servers cut by default."""


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


def examine(
    encoder: Encoder, reference: CuttingEncoder, *, tolerance: float = 2e-3
) -> list[Finding]:
    """
    Hold an encoder against a reference of the same checkpoint, and name what differs.

    Args:
        encoder: What is examined, such as a `m3kit.remote.RemoteEncoder`.
        reference: What is right, such as a `m3kit.torch.TorchEncoder` of the checkpoint.
        tolerance: How far a number may be off; the default is half precision's.

    Returns:
        Nothing for an encoder whose vectors are the reference's; a representation that it does not
        give is left out.
    """
    if encoder.dim != reference.dim:
        width = f"the vectors are {encoder.dim} wide, the reference's {reference.dim}"
        return [Finding("width", f"{width}: another model, or vectors that were cut")]
    reps = [rep for rep in REPS if rep in encoder.reps & reference.reps]
    theirs = [*encoder.encode_documents(PROBES, reps)]
    ours = reference.encode_documents(PROBES, reps)
    found = [_CHECKS[rep](theirs, ours, tolerance) for rep in reps]
    findings = [finding for finding in found if finding is not None]
    return findings or list(_lengths(encoder, reference, tolerance))


def _dense(theirs: Sequence[M3Output], ours: Sequence[M3Output], tolerance: float) -> _Finding:
    found, right = (_stacked(outputs) for outputs in (theirs, ours))
    if not np.isfinite(found).all():
        return Finding("dense-not-finite", "dense vectors hold NaN; half precision overflowed")
    if _close(found, right, tolerance):
        return None
    lengths = np.linalg.norm(found, axis=1)
    if _close(found / np.maximum(lengths, 1e-12)[:, None], right, tolerance):
        return Finding("dense-not-normalised", "dense vectors are not of length 1; normalise them")
    for order in (np.roll(np.arange(len(found)), shift) for shift in range(1, len(found))):
        if _close(found[order], right, tolerance):
            return Finding("order", "the vectors come back in another order than the texts")
    near = float(np.mean(np.sum(found * right, axis=1) / np.maximum(lengths, 1e-12)))
    if near > 0.99:
        return Finding(
            "dense-inexact",
            f"dense vectors are off by {np.abs(found - right).max():.1g}: quantised weights, or "
            "texts that are not the same (an instruction, another normalisation)",
        )
    return Finding(
        "dense-other",
        f"dense vectors have a mean cosine of {near:.2f} with the reference's: mean instead of CLS "
        "pooling, or another model",
    )


def _sparse(theirs: Sequence[M3Output], ours: Sequence[M3Output], tolerance: float) -> _Finding:
    pairs = [
        (one.sparse, other.sparse)
        for one, other in zip(theirs, ours, strict=True)
        if one.sparse is not None and other.sparse is not None
    ]
    if all(_alike(one, other, lambda weights: weights, tolerance) for one, other in pairs):
        return None
    if all(_alike(one, other, np.log1p, tolerance) for one, other in pairs):
        return Finding("sparse-log1p", "weights went through log1p, as SPLADE's do; M3's do not")
    known: set[int] = set().union(*(other.to_dict() for _, other in pairs))
    found: set[int] = set().union(*(one.to_dict() for one, _ in pairs))
    always = set.intersection(*(set(one.to_dict()) for one, _ in pairs))
    if always and pairs and always - known:
        return Finding("sparse-special-tokens", f"special tokens have weights: {sorted(always)}")
    if found < known and _shared_are_alike(pairs, tolerance):
        return Finding(
            "sparse-dropped", f"{len(known - found)} of {len(known)} weights are missing"
        )
    ratios = [
        one.to_dict()[id_] / weight
        for one, other in pairs
        for id_, weight in other.to_dict().items()
        if id_ in one.to_dict()
    ]
    if ratios and found == known:
        if max(ratios) > 1.5 and float(np.median(ratios)) < 1.1:
            return Finding(
                "sparse-summed", "weights of a repeated token are added up; M3 takes the highest"
            )
        if np.ptp(ratios) < 0.05:
            return Finding("sparse-scaled", f"weights are {np.mean(ratios):.2f} times the model's")
    if not found & known:
        return Finding("sparse-ids", "no token id is the reference's: another tokenizer")
    return Finding("sparse-other", "weights are not the model's: another head, or another model")


def _colbert(theirs: Sequence[M3Output], ours: Sequence[M3Output], tolerance: float) -> _Finding:
    pairs = [
        (one.colbert, other.colbert)
        for one, other in zip(theirs, ours, strict=True)
        if one.colbert is not None and other.colbert is not None
    ]
    if all(_same(one, other, tolerance) for one, other in pairs):
        return None
    unit = [(_unit(one), other) for one, other in pairs]
    if all(_same(one, other, tolerance) for one, other in unit):
        return Finding("colbert-not-normalised", "ColBERT's rows are not of length 1")
    shapes: Sequence[tuple[str, str, Callable[[Floats, Floats], bool]]] = (
        (
            "colbert-cls",
            "ColBERT has a row for the opening token",
            lambda one, other: _same(one[1:], other, tolerance),
        ),
        (
            "colbert-eos",
            "ColBERT lacks the row of the closing token",
            lambda one, other: len(other) == 1 or _same(one, other[:-1], tolerance),
        ),
        (
            "colbert-padded",
            "ColBERT has rows of padding",
            lambda one, other: _same(one[: len(other)], other, tolerance),
        ),
        (
            "colbert-pooled",
            "ColBERT has fewer rows than the text has tokens: they were pooled or cut",
            lambda one, other: len(one) < len(other) or _same(one, other, tolerance),
        ),
    )
    for name, message, fits in shapes:
        if all(fits(one, other) for one, other in unit):
            return Finding(name, message)
    return Finding("colbert-other", "ColBERT's rows are not the model's: another head or model")


_CHECKS: dict[Rep, Callable[[Sequence[M3Output], Sequence[M3Output], float], _Finding]] = {
    "dense": _dense,
    "sparse": _sparse,
    "colbert": _colbert,
}


def _lengths(encoder: Encoder, reference: CuttingEncoder, tolerance: float) -> Iterator[Finding]:
    """Find where long texts are cut: their vectors are those of their beginning."""
    if "dense" not in encoder.reps & reference.reps:
        return
    long = " ".join(f"Insert {n} rows into table {7 * n}." for n in range(1500))

    def distance(limit: int | None) -> float:
        (ours,) = reference.encode_documents([long], ["dense"], max_length=limit)
        return float(np.abs(_stacked([theirs]) - _stacked([ours])).max())

    (theirs,) = encoder.encode_documents([long], ["dense"])
    whole = distance(None)
    if whole <= tolerance / 20:
        return
    nearest = min(_LENGTHS, key=distance)
    if distance(nearest) < whole / 5:
        yield Finding("cut", f"long texts are cut at {nearest} tokens; raise the server's limit")
    elif whole > tolerance:
        yield Finding("long-texts", "long texts have other vectors than the reference's")


def _stacked(outputs: Sequence[M3Output]) -> Floats:
    return np.stack([output.dense for output in outputs if output.dense is not None])


def _close(found: Floats, right: Floats, tolerance: float) -> bool:
    return found.shape == right.shape and bool(np.abs(found - right).max(initial=0) <= tolerance)


def _same(found: Floats, right: Floats, tolerance: float) -> bool:
    return _close(found, right, tolerance)


def _unit(rows: Floats) -> Floats:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return (rows / np.maximum(lengths, 1e-12)).astype(np.float32)


def _alike(
    one: Sparse, other: Sparse, change: Callable[[Floats], Floats], tolerance: float
) -> bool:
    """Compare weights; one that is almost nothing may be missing."""
    found, right = one.to_dict(), dict(zip(other.ids.tolist(), change(other.weights), strict=True))
    return all(
        abs(found.get(id_, 0.0) - float(right.get(id_, 0.0))) <= tolerance
        for id_ in found.keys() | right.keys()
    )


def _shared_are_alike(pairs: Sequence[tuple[Sparse, Sparse]], tolerance: float) -> bool:
    return all(
        abs(weight - other.to_dict().get(id_, 9.0)) <= tolerance
        for one, other in pairs
        for id_, weight in one.to_dict().items()
    )
