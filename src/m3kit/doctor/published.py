"""What is wrong with an encoder of BAAI/bge-m3, by the scores on its model card."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from m3kit.doctor.vectors import Finding, unit_rows
from m3kit.encoder import Encoder
from m3kit.scoring import require, scores
from m3kit.vectors import REPS, M3Output, Rep, Sparse

QUESTIONS = ("What is BGE M3?", "Defination of BM25")
PASSAGES = (
    (
        "BGE M3 is an embedding model supporting dense retrieval, lexical matching and "
        "multi-vector interaction."
    ),
    (
        "BM25 is a bag-of-words retrieval function that ranks a set of documents based on the "
        "query terms appearing in each document"
    ),
)
PUBLISHED: Mapping[Rep, Sequence[float]] = {
    "dense": (0.6259765625, 0.347412109375, 0.349853515625, 0.67822265625),
    "sparse": (0.195556640625, 0.00879669189453125, 0.0, 0.1802978515625),
    "colbert": (0.7796499729156494, 0.4621465802192688, 0.4523794651031494, 0.7898575067520142),
}
"""
The scores of each question with each passage, from https://huggingface.co/BAAI/bge-m3.

They were computed in float16.
"""


@dataclass(frozen=True, slots=True)
class _Repair:
    """What would make wrong outputs right, and so tells what is wrong with them."""

    name: str
    message: str
    apply: Callable[[M3Output], M3Output]


def examine_published(encoder: Encoder, *, tolerance: float = 2e-3) -> list[Finding]:
    """
    Compare an encoder of BAAI/bge-m3 with the scores on its model card, and name what differs.

    Args:
        encoder: What is examined; it needs no reference.
        tolerance: How far a score may be off; the default is half precision's.

    Returns:
        At most a finding for each representation that the encoder gives.
    """
    reps = [rep for rep in REPS if rep in encoder.reps]
    outputs = [output.copy() for output in encoder.encode_documents([*QUESTIONS, *PASSAGES], reps)]
    findings = (_examine(rep, outputs, tolerance) for rep in reps)
    return [finding for finding in findings if finding is not None]


def _examine(rep: Rep, outputs: Sequence[M3Output], tolerance: float) -> Finding | None:
    if _agree(rep, outputs, tolerance):
        return None
    for repair in _REPAIRS[rep]:
        if _agree(rep, [repair.apply(output) for output in outputs], tolerance):
            return Finding(repair.name, repair.message)
    listed = ", ".join(f"{score:.3f}" for score in _scores(rep, outputs))
    right = ", ".join(f"{score:.3f}" for score in PUBLISHED[rep])
    return Finding(
        f"{rep}-published",
        f"{rep} scores of the model card's examples are {listed} and not {right}: another model, "
        "another pooling or another head; compare with a checkpoint by --reference FOLDER",
    )


def _agree(rep: Rep, outputs: Sequence[M3Output], tolerance: float) -> bool:
    difference = np.subtract(_scores(rep, outputs), PUBLISHED[rep])
    return bool(np.abs(difference).max() <= tolerance)


def _scores(rep: Rep, outputs: Sequence[M3Output]) -> list[float]:
    questions, passages = outputs[: len(QUESTIONS)], outputs[len(QUESTIONS) :]
    return [score for question in questions for score in scores(rep, question, passages).tolist()]


def _normalised(output: M3Output) -> M3Output:
    return replace(output, dense=unit_rows(require(output.dense, "dense")[None])[0])


def _rows_normalised(output: M3Output) -> M3Output:
    return replace(output, colbert=unit_rows(require(output.colbert, "colbert")))


def _without_log(output: M3Output) -> M3Output:
    sparse = require(output.sparse, "sparse")
    return replace(output, sparse=Sparse(sparse.ids, np.expm1(sparse.weights)))


def _without_special(output: M3Output) -> M3Output:
    """Drop the ids of XLM-RoBERTa's <s>, <pad>, </s> and <unk>."""
    sparse = require(output.sparse, "sparse")
    words = sparse.ids > 3
    return replace(output, sparse=Sparse(sparse.ids[words], sparse.weights[words]))


def _without_opening(output: M3Output) -> M3Output:
    rows = require(output.colbert, "colbert")
    return replace(output, colbert=rows[1:] if len(rows) > 1 else rows)


_REPAIRS: Mapping[Rep, Sequence[_Repair]] = {
    "dense": (
        _Repair(
            "dense-not-normalised",
            "dense vectors are not of length 1; normalise them",
            _normalised,
        ),
    ),
    "sparse": (
        _Repair(
            "sparse-log1p",
            "weights went through log1p, as SPLADE's do; M3's do not",
            _without_log,
        ),
        _Repair("sparse-special-tokens", "special tokens have weights", _without_special),
    ),
    "colbert": (
        _Repair("colbert-not-normalised", "ColBERT's rows are not of length 1", _rows_normalised),
        _Repair("colbert-cls", "ColBERT has a row for the opening token", _without_opening),
    ),
}
