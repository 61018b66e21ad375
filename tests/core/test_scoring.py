from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from m3kit import REPS, M3Output, Rep, Sparse
from m3kit.scoring import dot, maxsim, overlap, scores
from m3kit.testing import HashEncoder, plain_score

_texts = st.lists(st.text("abcde ", max_size=12), max_size=8)


@pytest.mark.parametrize("rep", REPS)
@given(asked=st.text("abcde ", max_size=12), texts=_texts)
def test_the_vectorised_scores_are_the_plain_ones(rep: Rep, asked: str, texts: list[str]) -> None:
    encoder = HashEncoder()
    (query,) = encoder.encode_queries([asked])
    outputs = encoder.encode_documents(texts)
    expected = [plain_score(rep, query, output) for output in outputs]
    got = scores(rep, query, outputs)
    assert got.dtype == np.float32
    assert got.tolist() == pytest.approx(expected, abs=1e-5)


def test_overlap_sums_over_shared_tokens() -> None:
    query = Sparse.from_dict({1: 0.5, 2: 0.25, 9: 4.0})
    documents = [
        Sparse.from_dict({2: 2.0, 9: 1.0}),
        Sparse.from_dict({}),
        Sparse.from_dict({3: 1.0, 10: 1.0}),
        Sparse.from_dict({1: 2.0}),
    ]
    assert overlap(query, documents).tolist() == [4.5, 0.0, 0.0, 1.0]
    assert overlap(Sparse.from_dict({}), documents).tolist() == [0.0] * 4
    assert overlap(query, []).shape == (0,)


def test_maxsim_is_the_mean_and_not_the_sum() -> None:
    query = np.eye(2, 3, dtype=np.float32)
    documents = [np.eye(3, dtype=np.float32)[:1], np.eye(3, dtype=np.float32), -query]
    assert maxsim(query, documents).tolist() == [0.5, 1.0, 0.0]
    assert maxsim(query, [-np.eye(3, dtype=np.float32)[:1]]).tolist() == [-0.5]
    assert maxsim(query, []).shape == (0,)


@pytest.mark.parametrize("count", [2, 3, 7, 16, 33, 100])
def test_equal_vectors_score_equal_wherever_they_stand(count: int) -> None:
    generator = np.random.default_rng(count)
    query = generator.standard_normal((5, 48), dtype=np.float32)
    twin = generator.standard_normal((3, 48), dtype=np.float32)
    others = [generator.standard_normal((n % 4 + 1, 48), dtype=np.float32) for n in range(count)]
    late = maxsim(query, [twin, *others, twin])
    assert late[0] == late[-1]
    dense = dot(query[0], np.stack([twin[0], *(other[0] for other in others), twin[0]]))
    assert dense[0] == dense[-1]


def test_a_missing_representation_is_named() -> None:
    with pytest.raises(ValueError, match="no sparse"):
        scores("sparse", M3Output(), [])
