"""A cross-encoder, or anything that scores texts for a query, as a node postprocessor."""

from __future__ import annotations

from collections.abc import Sequence

from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle

from m3kit.retriever import Reranker, reranked_scores


class M3Reranker(BaseNodePostprocessor):
    """
    Orders nodes by the scores of a reranker; nodes with equal scores stay in order.

    Args:
        reranker: `(query, texts) -> scores`, one for each text, higher is better.
        top_n: How many nodes are returned, by default all.
        metadata_mode: Which content of a node is scored, by default the text for embedding models.
    """

    top_n: int | None = None
    metadata_mode: MetadataMode = MetadataMode.EMBED
    _reranker: Reranker = PrivateAttr()

    def __init__(
        self,
        reranker: Reranker,
        *,
        top_n: int | None = None,
        metadata_mode: MetadataMode = MetadataMode.EMBED,
    ) -> None:
        if top_n is not None and top_n < 1:
            raise ValueError(f"top_n is at least 1, not {top_n}")
        super().__init__()
        self.top_n = top_n
        self.metadata_mode = metadata_mode
        self._reranker = reranker

    @classmethod
    def class_name(cls) -> str:
        """Name the class in LlamaIndex's records."""
        return "M3Reranker"

    def _postprocess_nodes(
        self, nodes: Sequence[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        if query_bundle is None:
            raise ValueError("a reranker needs the query; give query_bundle or query_str")
        texts = [scored.node.get_content(self.metadata_mode) for scored in nodes]
        scores = reranked_scores(self._reranker, query_bundle.query_str, texts)
        reranked = [
            NodeWithScore(node=scored.node, score=score)
            for scored, score in zip(nodes, scores, strict=True)
        ]
        return sorted(reranked, key=lambda scored: -scored.get_score())[: self.top_n]
