from __future__ import annotations

from collections.abc import Sequence

import pytest
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle, TextNode
from tests.llama_index.conftest import Call

from m3kit_llama_index import M3Reranker


def shared(query: str, texts: Sequence[str]) -> list[float]:
    """Count the words that a text has of the query's."""
    words = set(query.split())
    return [len(words & set(text.split())) for text in texts]


def nodes() -> list[NodeWithScore]:
    texts = {"d": "a dog", "c": "a dog and a cat", "b": "a dog", "a": "nothing"}
    return [
        NodeWithScore(node=TextNode(id_=id_, text=text, metadata={"lang": "en"}), score=0.5)
        for id_, text in texts.items()
    ]


def test_best_first_and_equals_as_they_came(call: Call) -> None:
    reranker = M3Reranker(shared)
    assert isinstance(reranker, BaseNodePostprocessor)
    assert reranker.class_name() == "M3Reranker"
    given = nodes()
    found = call(reranker, "postprocess_nodes", given, query_str="dog cat")
    assert [(one.node_id, one.score) for one in found] == [("c", 2), ("d", 1), ("b", 1), ("a", 0)]
    assert all(type(one.score) is float for one in found)
    assert given == nodes()


def test_top_n(call: Call) -> None:
    found = call(M3Reranker(shared, top_n=2), "postprocess_nodes", nodes(), QueryBundle("cat dog"))
    assert [one.node_id for one in found] == ["c", "d"]
    with pytest.raises(ValueError, match="at least 1, not 0"):
        M3Reranker(shared, top_n=0)


def test_metadata_is_scored_as_it_is_embedded() -> None:
    found = M3Reranker(shared).postprocess_nodes(nodes(), query_str="lang: en")
    assert {one.score for one in found} == {2}
    bare = M3Reranker(shared, metadata_mode=MetadataMode.NONE)
    assert {one.score for one in bare.postprocess_nodes(nodes(), query_str="lang: en")} == {0}


def test_it_needs_a_query_and_no_nodes() -> None:
    with pytest.raises(ValueError, match="needs the query"):
        M3Reranker(shared).postprocess_nodes(nodes())
    assert M3Reranker(shared).postprocess_nodes([], query_str="dog") == []


@pytest.mark.parametrize(("given", "told"), [(1, "1 scores for 4"), (4, "not a number")])
def test_a_number_for_each_node(given: int, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        M3Reranker(lambda *_: [float("nan")] * given).postprocess_nodes(nodes(), query_str="dog")
