"""A cross-encoder, or anything that scores texts for a query, as a node postprocessor."""

from __future__ import annotations

from collections.abc import Sequence

from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle

from m3kit.retriever import Reranker, reranked_scores


class M3Reranker(BaseNodePostprocessor):
    """
    Orders nodes by their scores for the query; equal scores keep the order they came in.

    Args:
        reranker: `(query, texts) -> scores`, higher is better, one for each text.
        top_n: How many nodes are kept; None keeps all.
        metadata_mode: Which content of a node is scored, by default what is embedded.
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
        texts = [one.node.get_content(self.metadata_mode) for one in nodes]
        scores = reranked_scores(self._reranker, query_bundle.query_str, texts)
        reranked = [
            NodeWithScore(node=one.node, score=score)
            for one, score in zip(nodes, scores, strict=True)
        ]
        return sorted(reranked, key=lambda one: -one.get_score())[: self.top_n]
