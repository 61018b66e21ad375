from __future__ import annotations

import logging
from collections.abc import Collection, Sequence

import numpy as np
import pytest

from m3kit import REPS, M3Output, Rep
from m3kit._truncation import Truncation, report
from m3kit.pairs import score_pairs
from m3kit.testing import HashEncoder, plain_score

_TEXTS = ["a dog", "a cat and a dog", "", "nothing shared", "a dog"]
_PAIRS = [(query, passage) for query in _TEXTS for passage in reversed(_TEXTS)]


class Watched(HashEncoder):
    """Notes what it is asked for, takes limits, and says that texts were cut."""

    def __init__(self) -> None:
        self.queries: list[str] = []
        self.documents: list[str] = []
        self.limits: list[int | None] = []

    def encode_queries(
        self,
        texts: Sequence[str],
        reps: Collection[Rep] | None = None,
        *,
        max_length: int | None = None,
    ) -> list[M3Output]:
        self.queries += texts
        self.limits.append(max_length)
        return super().encode_queries(texts, reps)

    def encode_documents(
        self,
        texts: Sequence[str],
        reps: Collection[Rep] | None = None,
        *,
        max_length: int | None = None,
    ) -> list[M3Output]:
        if max_length is not None:
            self.limits.append(max_length)
            report(Truncation(len(texts), 1, 9, max_length, "split them"))
            self.documents += texts
        return [self._encode(text).only(*(reps or REPS)) for text in texts]


def test_the_three_scores_are_the_plain_ones_in_the_order_of_the_pairs() -> None:
    encoder = HashEncoder()
    scores = score_pairs(encoder, _PAIRS)
    for place, (query, passage) in enumerate(_PAIRS):
        (encoded,), (document,) = (
            encoder.encode_queries([query]),
            encoder.encode_documents([passage]),
        )
        for rep in REPS:
            assert scores[rep][place] == pytest.approx(
                plain_score(rep, encoded, document), abs=1e-6
            )


def test_the_sums_are_weighted_means() -> None:
    scores = score_pairs(HashEncoder(), _PAIRS, weights=[0.4, 0.2, 0.3])
    assert list(scores) == ["colbert", "sparse", "dense", "sparse+dense", "colbert+sparse+dense"]
    dense, sparse, colbert = (np.array(scores[rep]) for rep in REPS)
    both = (0.4 * dense + 0.2 * sparse) / 0.6
    every = (0.4 * dense + 0.2 * sparse + 0.3 * colbert) / 0.9
    assert scores["sparse+dense"] == pytest.approx(both.tolist(), abs=1e-6)
    assert scores["colbert+sparse+dense"] == pytest.approx(every.tolist(), abs=1e-6)
    assert {type(value) for values in scores.values() for value in values} == {float}


def test_without_weights_each_counts_one() -> None:
    assert score_pairs(HashEncoder(), _PAIRS) == score_pairs(
        HashEncoder(), _PAIRS, weights=(1, 1, 1)
    )


def test_a_mean_of_nothing_is_zero() -> None:
    scores = score_pairs(HashEncoder(), _PAIRS[:2], weights=[0, 0, 1])
    assert scores["sparse+dense"] == [0.0, 0.0]
    assert scores["colbert+sparse+dense"] == scores["colbert"]


def test_each_text_is_encoded_once(caplog: pytest.LogCaptureFixture) -> None:
    encoder = Watched()
    pairs = [(f"query {n % 3}", f"passage {n}") for n in range(600)]
    with caplog.at_level(logging.WARNING, "m3kit"):
        scores = score_pairs(encoder, pairs * 2, max_query_length=7, max_passage_length=9)
    assert encoder.queries == ["query 0", "query 1", "query 2"]
    assert encoder.documents == [f"passage {n}" for n in range(600)]
    assert encoder.limits == [7, 9, 9, 9]
    assert len(caplog.messages) == 1
    assert scores == score_pairs(HashEncoder(), pairs * 2)


def test_no_pairs_have_no_scores() -> None:
    assert set(map(len, score_pairs(HashEncoder(), []).values())) == {0}


def test_what_is_no_pair_or_no_weight_is_refused() -> None:
    with pytest.raises(
        TypeError, match=r"pairs\[1\] is not a pair of two texts: \('a', 'b', 'c'\)"
    ):
        score_pairs(HashEncoder(), [("a", "b"), ("a", "b", "c")])
    with pytest.raises(TypeError, match=r"pairs\[0\] is not a pair of two texts: 'ab'"):
        score_pairs(HashEncoder(), ["ab"])
    with pytest.raises(ValueError, match="weights are three numbers, of dense, sparse, colbert"):
        score_pairs(HashEncoder(), _PAIRS, weights=[1, 1])


def test_an_encoder_without_limits_says_so() -> None:
    with pytest.raises(TypeError, match="max_length"):
        score_pairs(HashEncoder(), _PAIRS, max_query_length=7)  # type: ignore[call-overload]  # what is tested
