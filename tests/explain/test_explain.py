from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from m3kit import M3Output, Sparse
from m3kit.explain import Explanation, Match, Tokens, explain
from m3kit.scoring import dot, maxsim, overlap


def tokens(*ids: int) -> Tokens:
    return [(0, "<s>"), *((id_, f"▁{id_}") for id_ in ids), (2, "</s>")]


def output(ids: list[int], seed: int) -> M3Output:
    """What a model would say about these tokens."""
    draw = np.random.default_rng(seed)
    dense = draw.standard_normal(8, dtype=np.float32)
    rows = draw.standard_normal((len(ids) + 1, 8), dtype=np.float32)
    return M3Output(
        dense=dense / np.linalg.norm(dense),
        sparse=Sparse.from_dict({id_: float(draw.uniform(0.01, 1)) for id_ in ids}),
        colbert=rows / np.linalg.norm(rows, axis=1, keepdims=True),
    )


def explained(query: list[int], document: list[int]) -> Explanation:
    outputs = output(query, 1), output(document, 2)
    return explain(*outputs, tokens(*query), tokens(*document))


ids = st.lists(st.integers(min_value=4, max_value=12), max_size=8)


@given(ids, ids)
def test_the_parts_add_up_to_the_scores(query: list[int], document: list[int]) -> None:
    asked, held = output(query, 1), output(document, 2)
    assert asked.dense is not None
    assert asked.sparse is not None
    assert asked.colbert is not None
    assert held.dense is not None
    assert held.sparse is not None
    assert held.colbert is not None
    explanation = explain(asked, held, tokens(*query), tokens(*document))
    assert explanation.scores == {
        "dense": dot(asked.dense, held.dense[None])[0],
        "sparse": overlap(asked.sparse, [held.sparse])[0],
        "colbert": maxsim(asked.colbert, [held.colbert])[0],
    }
    products = [match.product for match in explanation.matches]
    assert sum(products) == pytest.approx(explanation.scores["sparse"], abs=1e-6)
    assert products == sorted(products, reverse=True)
    similarities = [row.similarity for row in explanation.alignment]
    assert np.mean(similarities) == pytest.approx(explanation.scores["colbert"], abs=1e-6)


def test_a_match_names_its_token_and_both_weights() -> None:
    query = M3Output(sparse=Sparse.from_dict({5: 0.5, 6: 1.0, 7: 0.25}))
    document = M3Output(sparse=Sparse.from_dict({5: 0.5, 7: 2.0, 8: 1.0}))
    explanation = explain(query, document, tokens(5, 6, 7), tokens(8, 7, 5))
    assert explanation.matches == (Match("▁7", 7, 0.25, 2.0), Match("▁5", 5, 0.5, 0.5))
    assert [match.product for match in explanation.matches] == [0.5, 0.25]
    assert explanation.alignment == ()
    assert explanation.scores == {"sparse": 0.75}


def test_each_token_of_the_query_has_its_nearest_of_the_document() -> None:
    query = M3Output(colbert=np.eye(3, dtype=np.float32))
    rows = np.array([[0, 0.9, 0], [0.5, 0, 0], [0, 0, 1], [0.8, 0, 0]], dtype=np.float32)
    explanation = explain(query, M3Output(colbert=rows), tokens(5, 6), tokens(7, 8, 9))
    assert [(row.query, row.document, row.position) for row in explanation.alignment] == [
        ("▁5", "</s>", 4),
        ("▁6", "▁7", 1),
        ("</s>", "▁9", 3),
    ]


def test_rows_of_a_text_that_was_cut_belong_to_its_first_tokens_and_to_eos() -> None:
    query = M3Output(colbert=np.eye(3, dtype=np.float32))
    document = M3Output(colbert=np.eye(3, dtype=np.float32))
    explanation = explain(query, document, tokens(5, 6), tokens(7, 8, 9, 10))
    assert [row.document for row in explanation.alignment] == ["▁7", "▁8", "</s>"]


def test_vectors_of_another_text_are_refused() -> None:
    query = M3Output(colbert=np.eye(3, dtype=np.float32))
    with pytest.raises(ValueError, match="3 ColBERT vectors for 2 tokens"):
        explain(query, query, tokens(5, 6), tokens(7))


def test_what_one_of_them_lacks_is_not_explained() -> None:
    query, document = output([5], 1), output([5], 2).only("dense")
    assert set(explain(query, document, tokens(5), tokens(5)).scores) == {"dense"}
