"""A cross-encoder, or anything that scores texts for a query, as a node postprocessor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llama_index.core.bridge.pydantic import BaseModel, ConfigDict, Field, PrivateAttr
from llama_index.core.callbacks import CallbackManager, CBEventType, EventPayload
from llama_index.core.instrumentation.events.rerank import ReRankEndEvent, ReRankStartEvent
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle
from llama_index_instrumentation import get_dispatcher

from m3kit.frameworks import load_reranker
from m3kit.retriever import Reranker, reranked_scores

dispatcher = get_dispatcher(__name__)


class M3Reranker(BaseNodePostprocessor):
    """
    Orders nodes by the scores of a reranker; nodes with equal scores stay in order.

        index.as_query_engine(
            similarity_top_k=50,
            node_postprocessors=[M3Reranker(model_name="BAAI/bge-reranker-v2-m3", top_n=4)],
        )

    LlamaIndex's events of reranking tell the nodes before and after.

    Args:
        reranker: `(query, texts) -> scores`, one for each text, higher is better.
        model_name: In place of it: a folder or a name on the Hugging Face hub, from which
            `m3kit.torch.CrossEncoder` is loaded.
        device: Where the model is loaded, as PyTorch names it.
        top_n: How many nodes are returned, by default all.
        metadata_mode: Which content of a node is scored, by default the text for embedding models.
        callback_manager: Notified of each call.

    Raises:
        TypeError: If the reranker cannot be called, or none or two are given.
        CheckpointError: If there is no such model.
    """

    model_config = ConfigDict(
        arbitrary_types_allowed=True, validate_assignment=True, protected_namespaces=()
    )

    model_name: str | None = Field(default=None, frozen=True)
    device: str | None = Field(default=None, frozen=True)
    top_n: int | None = Field(default=None, ge=1)
    metadata_mode: MetadataMode = MetadataMode.EMBED
    _reranker: Reranker = PrivateAttr()

    def __init__(
        self,
        reranker: Reranker | None = None,
        *,
        model_name: str | None = None,
        device: str | None = None,
        top_n: int | None = None,
        metadata_mode: MetadataMode = MetadataMode.EMBED,
        callback_manager: CallbackManager | None = None,
    ) -> None:
        if top_n is not None and top_n < 1:
            raise ValueError(f"top_n is at least 1, not {top_n}")
        options = {} if device is None else {"device": device}
        loaded = load_reranker(reranker, model_name, options)
        fields: dict[str, Any] = {
            "model_name": model_name,
            "device": device,
            "top_n": top_n,
            "metadata_mode": metadata_mode,
            "callback_manager": callback_manager or CallbackManager([]),
        }
        super().__init__(**fields)
        self._reranker = loaded

    def __getstate__(self) -> dict[str, Any]:
        """Refuse to pickle: LlamaIndex would silently drop a reranker that cannot be pickled."""
        state: dict[str, Any] = super().__getstate__()
        if "_reranker" not in state["__pydantic_private__"] and self.model_name is None:
            raise TypeError("this reranker cannot be pickled; give model_name=, or a function")
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take the reranker along, or load it again where it is known by its name."""
        if "_reranker" in state["__pydantic_private__"]:
            BaseModel.__setstate__(self, state)
        else:
            self.__init__(**state["__dict__"])  # type: ignore[misc]  # as LlamaIndex does

    @classmethod
    def class_name(cls) -> str:
        """Name the class in LlamaIndex's records."""
        return "M3Reranker"

    def _postprocess_nodes(
        self, nodes: Sequence[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        if query_bundle is None:
            raise ValueError("a reranker needs the query; give query_bundle or query_str")
        name = self.model_name or type(self._reranker).__name__
        top_n = len(nodes) if self.top_n is None else self.top_n
        dispatcher.event(
            ReRankStartEvent(query=query_bundle, nodes=list(nodes), top_n=top_n, model_name=name)
        )
        payload: dict[str, Any] = {
            EventPayload.NODES: nodes,
            EventPayload.MODEL_NAME: name,
            EventPayload.QUERY_STR: query_bundle.query_str,
            EventPayload.TOP_K: top_n,
        }
        with self.callback_manager.event(CBEventType.RERANKING, payload=payload) as event:
            reranked = self._rerank(nodes, query_bundle.query_str)[: self.top_n]
            event.on_end(payload={EventPayload.NODES: reranked})
        dispatcher.event(ReRankEndEvent(nodes=reranked))
        return reranked

    def _rerank(self, nodes: Sequence[NodeWithScore], query: str) -> list[NodeWithScore]:
        texts = [scored.node.get_content(self.metadata_mode) for scored in nodes]
        scores = reranked_scores(self._reranker, query, texts)
        reranked = [
            NodeWithScore(node=scored.node, score=score)
            for scored, score in zip(nodes, scores, strict=True)
        ]
        return sorted(reranked, key=lambda scored: -scored.get_score())
