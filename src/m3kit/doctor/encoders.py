"""What is wrong with an encoder, compared with another of the same model."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from m3kit.doctor.vectors import Finding, compare, stacked
from m3kit.encoder import Encoder
from m3kit.pairs import TruncatingEncoder
from m3kit.vectors import REPS

PROBES = (
    "Insert rows and columns into a table of the text document.",
    "Zeilen und Spalten: Zeilen, Spalten, Zeilen.",
    "在文本文档的表格中插入行和列。",
    "",
)
"""Texts whose vectors tell the usual mistakes apart; one repeats its words, one has none."""

_LENGTHS = (128, 256, 512, 1024, 2048, 4096)
"""Tokens at which servers cut by default."""


def examine(
    encoder: Encoder, reference: TruncatingEncoder, *, tolerance: float = 2e-3
) -> list[Finding]:
    """
    Compare an encoder with a reference of the same checkpoint, and name what differs.

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
    actual = [*encoder.encode_documents(PROBES, reps)]
    expected = reference.encode_documents(PROBES, reps)
    findings = compare(actual, expected, reps, tolerance=tolerance)
    return findings or list(_lengths(encoder, reference, tolerance))


def _lengths(encoder: Encoder, reference: TruncatingEncoder, tolerance: float) -> Iterator[Finding]:
    """Find where long texts are cut: their vectors are those of their beginning."""
    if "dense" not in encoder.reps & reference.reps:
        return
    long = " ".join(f"Insert {n} rows into table {7 * n}." for n in range(1500))

    def distance(limit: int | None) -> float:
        (expected,) = reference.encode_documents([long], ["dense"], max_length=limit)
        return float(np.abs(stacked([actual]) - stacked([expected])).max())

    (actual,) = encoder.encode_documents([long], ["dense"])
    whole = distance(None)
    if whole <= tolerance / 20:
        return
    nearest = min(_LENGTHS, key=distance)
    if distance(nearest) < whole / 5:
        yield Finding("cut", f"long texts are cut at {nearest} tokens; raise the server's limit")
    elif whole > tolerance:
        yield Finding("long-texts", "long texts have other vectors than the reference's")
