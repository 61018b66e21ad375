from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from m3kit import REPS, M3Output, Rep, Sparse
from m3kit.scoring import (
    Stacked,
    _as_floats,
    dot,
    lexical_scores,
    maxsim,
    overlap,
    require,
    scores,
)
from m3kit.testing import HashEncoder, plain_score

_texts = st.lists(st.text("abcde ", max_size=12), max_size=8)


@pytest.mark.parametrize("rep", REPS)
@given(text=st.text("abcde ", max_size=12), texts=_texts)
def test_the_vectorised_scores_are_the_plain_ones(rep: Rep, text: str, texts: list[str]) -> None:
    encoder = HashEncoder()
    (query,) = encoder.encode_queries([text])
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


@pytest.mark.parametrize("dim", [48, 128, 1024])
@pytest.mark.parametrize("tokens", [1, 5, 16, 31, 70])
def test_a_score_does_not_depend_on_the_place_nor_on_how_documents_are_held(
    dim: int, tokens: int
) -> None:
    generator = np.random.default_rng(dim + tokens)
    query = generator.standard_normal((tokens, dim), dtype=np.float32)
    twin = generator.standard_normal((37, dim), dtype=np.float32)
    others = [generator.standard_normal((n, dim), dtype=np.float32) for n in range(1, 40)]
    documents = [twin, *others[:20], twin, *others[20:], twin]
    scored = maxsim(query, documents)
    assert scored[0] == scored[21] == scored[-1]
    stacked = maxsim(query, Stacked.of(documents))
    assert stacked[0] == stacked[21] == stacked[-1]
    assert stacked.tolist() == pytest.approx(scored.tolist(), rel=1e-5)
    exact = [(query.astype(float) @ rows.T).max(1).mean() for rows in documents]
    assert scored.tolist() == pytest.approx(exact, abs=1e-4)


def test_documents_may_be_views_of_a_larger_array() -> None:
    generator = np.random.default_rng(6)
    query = generator.standard_normal((3, 24), dtype=np.float32)
    wide = generator.standard_normal((300, 48), dtype=np.float32)
    views = [wide[:100:2, 24:], wide[100:, ::2]]
    expected = maxsim(query, [np.array(view) for view in views])
    assert maxsim(query, views).tolist() == pytest.approx(expected.tolist(), rel=1e-5)


def test_many_tokens_are_shared_among_the_cores() -> None:
    generator = np.random.default_rng(5)
    query = generator.standard_normal((4, 32), dtype=np.float32)
    documents = list(generator.standard_normal((500, 40, 32), dtype=np.float32))
    expected = [(query.astype(float) @ rows.T).max(1).mean() for rows in documents]
    assert maxsim(query, documents).tolist() == pytest.approx(expected, abs=1e-5)
    stacked = Stacked.of(documents)
    assert len(stacked) == 500
    assert maxsim(query, stacked).tolist() == pytest.approx(expected, abs=1e-5)


@given(questions=st.lists(st.text("abcde ", max_size=12), max_size=4), texts=_texts)
def test_lexical_scores_are_the_overlaps_of_all_with_all(
    questions: list[str], texts: list[str]
) -> None:
    encoder = HashEncoder()
    queries = [require(output.sparse, "sparse") for output in encoder.encode_queries(questions)]
    documents = [require(output.sparse, "sparse") for output in encoder.encode_documents(texts)]
    expected = [overlap(query, documents).tolist() for query in queries]
    matrix = lexical_scores(queries, documents)
    assert matrix.dtype == np.float32
    assert matrix.shape == (len(questions), len(texts))
    np.testing.assert_allclose(matrix, np.reshape(expected, matrix.shape), rtol=1e-6)


def test_lexical_scores_of_nothing_are_zero() -> None:
    nothing, something = Sparse.from_dict({}), Sparse.from_dict({1: 0.5})
    matrix = lexical_scores([nothing, nothing], [nothing, *[something] * 200])
    np.testing.assert_array_equal(matrix, np.zeros((2, 201)))


def test_lexical_scores_of_wide_ids_and_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    weights = [Sparse.from_dict({n: 0.5, 7: 0.25, 2**40 + n: 2.0}) for n in range(8, 30)]
    expected = [overlap(row, weights).tolist() for row in weights]
    np.testing.assert_allclose(lexical_scores(weights, weights), expected, rtol=1e-6)
    monkeypatch.setattr("m3kit.scoring._CELLS", 100)
    np.testing.assert_allclose(lexical_scores(weights, weights), expected, rtol=1e-6)


def test_every_float16_is_converted_to_its_value() -> None:
    numbers = np.arange(2**16, dtype=np.uint16).view(np.float16)
    rows = numbers[np.isfinite(numbers)].reshape(-1, 32)
    converted = np.concatenate([*_as_floats(rows)])
    np.testing.assert_array_equal(converted, rows.astype(np.float32))
