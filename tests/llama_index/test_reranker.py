from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from llama_index.core.callbacks import CallbackManager, CBEventType, LlamaDebugHandler
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events.rerank import ReRankEndEvent, ReRankStartEvent
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle, TextNode
from llama_index_instrumentation import get_dispatcher
from llama_index_instrumentation.base import BaseEvent
from pydantic import Field, ValidationError
from tests.llama_index.conftest import Call
from tests.torch.random_reranker import write_reranker

from m3kit.torch import CheckpointError, CrossEncoder
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


def test_a_model_is_loaded_by_its_name(tmp_path: Path, call: Call) -> None:
    folder = write_reranker(tmp_path / "reranker")
    reranker = M3Reranker(model_name=str(folder), device="cpu", metadata_mode=MetadataMode.NONE)
    scores = CrossEncoder.from_pretrained(folder)(
        "cat", [one.node.get_content() for one in nodes()]
    )
    found = call(reranker, "postprocess_nodes", nodes(), query_str="cat")
    assert [one.score for one in found] == pytest.approx(sorted(scores, reverse=True))
    again = M3Reranker.from_dict(reranker.to_dict())
    assert again.postprocess_nodes(nodes(), query_str="cat") == found
    with pytest.raises(CheckpointError, match="does not exist"):
        M3Reranker(model_name="./nothing")


class Scorer:
    """As sentence-transformers' cross-encoders."""

    def predict(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        return [len(text) for _, text in pairs]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "give reranker=.* or model_name="),
        ({"reranker": shared, "model_name": "tiny"}, "give reranker=.* or model_name="),
        ({"reranker": shared, "device": "cpu"}, "device would load a model"),
        ({"reranker": "BAAI/bge-reranker-v2-m3"}, "give model_name='BAAI/bge-reranker-v2-m3'"),
        ({"reranker": Scorer()}, r"Scorer scores pairs; .* model.predict\(\["),
        ({"reranker": 3}, "a reranker is a function .*, not 3"),
    ],
)
def test_what_cannot_rerank_is_refused_when_made(arguments: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        M3Reranker(**arguments)


def test_from_dict_and_pickled() -> None:
    reranker = M3Reranker(shared, top_n=2)
    again = M3Reranker.from_dict(reranker.to_dict(), reranker=shared)
    copied = pickle.loads(pickle.dumps(reranker))  # noqa: S301  # our own
    for other in (again, copied):
        assert other.postprocess_nodes(nodes(), query_str="dog cat") == (
            reranker.postprocess_nodes(nodes(), query_str="dog cat")
        )
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(M3Reranker(lambda *_: []))


def test_what_is_set_later_holds_from_then_on() -> None:
    reranker = M3Reranker(shared)
    reranker.top_n = 1
    assert len(reranker.postprocess_nodes(nodes(), query_str="dog")) == 1
    with pytest.raises(ValidationError, match="greater than or equal to 1"):
        reranker.top_n = 0


class Noting(BaseEventHandler):
    events: list[BaseEvent] = Field(default_factory=list)

    @classmethod
    def class_name(cls) -> str:
        return "Noting"

    def handle(self, event: BaseEvent, **_: Any) -> None:
        self.events.append(event)


def test_events_tell_the_nodes_before_and_after(call: Call) -> None:
    noting = Noting()
    dispatcher = get_dispatcher()
    handlers = list(dispatcher.event_handlers)
    dispatcher.add_event_handler(noting)
    debug = LlamaDebugHandler(print_trace_on_end=False)
    try:
        reranker = M3Reranker(shared, top_n=2, callback_manager=CallbackManager([debug]))
        found = call(reranker, "postprocess_nodes", nodes(), query_str="dog cat")
    finally:
        dispatcher.event_handlers = handlers
    start, end = (event for event in noting.events if "ReRank" in event.class_name())
    assert isinstance(start, ReRankStartEvent)
    assert isinstance(end, ReRankEndEvent)
    assert (len(start.nodes), start.top_n, start.model_name) == (4, 2, "function")
    assert end.nodes == found
    ((started, ended),) = debug.get_event_pairs(CBEventType.RERANKING)
    assert started.payload is not None
    assert ended.payload is not None
    assert ended.payload["nodes"] == found
