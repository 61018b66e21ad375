"""Without a checkpoint, an encoder is held against the scores on BAAI/bge-m3's model card."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tests.flag.snippets import PUBLISHED as OF_THE_CARD
from tests.flag.snippets import SNIPPETS
from tests.server.test_doctor import WRONG
from typer.testing import CliRunner

from m3kit.cli.app import app
from m3kit.doctor import examine_published
from m3kit.doctor.published import PASSAGES, PUBLISHED, QUESTIONS
from m3kit.torch import TorchEncoder
from m3kit.vectors import REPS, M3Output, Rep, Sparse


def _dense(rep: Rep) -> list[Any]:
    """Make vectors of length 1 whose inner products are the published scores."""
    near = np.reshape(PUBLISHED[rep], (2, 2)).T
    vectors = np.zeros((4, 8))
    vectors[0, 0] = vectors[1, 1] = 1
    vectors[2:, :2] = near
    vectors[2:, 2] = np.sqrt(1 - (near**2).sum(axis=1))
    return [vector.astype(np.float32) for vector in vectors]


class Card:
    """An encoder whose scores are those of the model card, until its outputs are changed."""

    model, dim, reps = "BAAI/bge-m3", 8, frozenset(REPS)

    def __init__(self, change: Callable[[M3Output], M3Output] = lambda output: output) -> None:
        first, second, third, fourth = PUBLISHED["sparse"]
        weights: list[dict[int, float]] = [
            {10: 1.0},
            {11: 1.0},
            {10: first, 11: third},
            {10: second, 11: fourth},
        ]
        self._outputs = dict(
            zip(
                [*QUESTIONS, *PASSAGES],
                [
                    change(M3Output(dense=dense, sparse=Sparse.from_dict(sparse), colbert=rows))
                    for dense, sparse, rows in zip(
                        _dense("dense"),
                        weights,
                        [row[None] for row in _dense("colbert")],
                        strict=True,
                    )
                ],
                strict=True,
            )
        )

    def encode_documents(
        self, texts: Sequence[str], reps: Collection[Rep] | None = None
    ) -> list[M3Output]:
        return [self._outputs[text].only(*(reps or REPS)) for text in texts]

    encode_queries = encode_documents


def _names(encoder: Any) -> list[str]:
    return [finding.name for finding in examine_published(encoder)]


def test_the_texts_and_scores_are_those_of_the_card() -> None:
    for text in (*QUESTIONS, *PASSAGES):
        assert text in SNIPPETS["dense"]
    for rep in REPS:
        assert list(PUBLISHED[rep]) == OF_THE_CARD["scores"]["scores"][rep]


def test_an_encoder_with_the_scores_of_the_card_is_right() -> None:
    assert _names(Card()) == []


@pytest.mark.parametrize(
    ("name", "change"),
    [
        (name, WRONG[name])
        for name in ("sparse-log1p", "colbert-not-normalised", "dense-not-normalised")
    ]
    + [
        ("colbert-cls", lambda o: replace(o, colbert=np.vstack([np.eye(8)[7:], o.colbert]))),
        (
            "sparse-special-tokens",
            lambda o: replace(o, sparse=Sparse.from_dict({0: 0.4, 2: 0.4, **o.sparse.to_dict()})),
        ),
        ("dense-published", lambda o: replace(o, dense=np.roll(o.dense, 1) ** 2)),
        ("sparse-published", WRONG["sparse-scaled"]),
        ("colbert-published", lambda o: replace(o, colbert=o.colbert**2)),
    ],
)
def test_what_is_wrong_is_named(name: str, change: Callable[[M3Output], M3Output]) -> None:

    assert _names(Card(change)) == [name]


def test_another_model_is_told_to_bring_its_reference() -> None:
    result = CliRunner().invoke(app, ["doctor", "tiny"])
    assert result.exit_code == 1
    assert result.output.startswith("dense-published: ")
    assert "--reference FOLDER" in result.output


@pytest.mark.weights
@pytest.mark.skipif("M3KIT_BGE_M3" not in os.environ, reason="M3KIT_BGE_M3 names no folder")
def test_the_model_itself_is_right() -> None:
    assert _names(TorchEncoder.from_pretrained(os.environ["M3KIT_BGE_M3"])) == []
