"""A LlamaIndex retriever with every option of m3kit, without a `VectorStoreIndex`."""

from __future__ import annotations

from asyncio import to_thread
from collections.abc import Collection, Sequence
from typing import Any

from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.callbacks import CallbackManager
from llama_index.core.schema import IndexNode, NodeWithScore, QueryBundle
from llama_index.core.vector_stores.types import MetadataFilters

from m3kit.encoder import Encoder
from m3kit.filters import Field, Filter
from m3kit.frameworks import QueryEncoder, relevance
from m3kit.fusion import RRF, Fusion, FusionName, WeightedSum, to_fusion
from m3kit.grouping import group_hits
from m3kit.index import HybridIndex
from m3kit.records import Hit
from m3kit.retriever import Reranker, Retriever
from m3kit.vectors import Rep
from m3kit_llama_index.filters import to_filter
from m3kit_llama_index.nodes import to_group_field, to_node


class M3Retriever(BaseRetriever):
    """
    Finds nodes by dense, sparse and ColBERT vectors of one encoding of the query.

    The index may have been filled by `M3VectorStore`, or by any other tool of m3kit. Every option
    is an attribute, which can be set later. A node's score is the weighted sum of the
    representations' scores from 0 to 1, whatever fusion ranks, or else the reranker's.

    Args:
        encoder: Encodes the query.
        index: Where the nodes live.
        k: How many nodes are wanted; with `group_by`, of how many groups.
        where: A filter of m3kit, or LlamaIndex's.
        reps: Which representations take part; by default all that the index holds.
        fusion: How they become one ranking.
        candidates: How many candidates each branch brings, and how many are rescored.
        min_score: Nodes whose score is below it are left out.
        group_by: A field of the metadata, or the path to it: of the nodes with the same value in
            it, only the best are returned; see `m3kit.Search`. `"ref_doc_id"` is the node's source.
        group_size: How many nodes of a group are wanted.
        reranker: `(query, texts) -> scores`; orders the `candidates` best.
        objects: LlamaIndex's targets of `IndexNode`s, followed when such a node is a hit.
        callback_manager: Notified of each retrieval.
        verbose: Whether LlamaIndex prints which objects it follows.

    Raises:
        RepresentationError: If the encoder cannot make what the index holds.
        ModelMismatchError: If the index was made by another model.
    """

    def __init__(
        self,
        encoder: Encoder,
        index: HybridIndex,
        *,
        k: int = 10,
        where: Filter | MetadataFilters | None = None,
        reps: Collection[Rep] | None = None,
        fusion: Fusion | FusionName = WeightedSum(),  # noqa: B008  # frozen, so one default serves all
        candidates: int = 100,
        min_score: float | None = None,
        group_by: Field | None = None,
        group_size: int = 1,
        reranker: Reranker | None = None,
        objects: Sequence[IndexNode] | None = None,
        callback_manager: CallbackManager | None = None,
        verbose: bool = False,
    ) -> None:
        super().__init__(
            callback_manager=callback_manager,
            objects=None if objects is None else list(objects),
            verbose=verbose,
        )
        self.encoder = encoder
        self.index = index
        self.reranker = reranker
        self.k = k
        self.where = where
        self.reps = reps
        self.fusion = to_fusion(fusion)
        self.candidates = candidates
        self.min_score = min_score
        self.group_by = group_by
        self.group_size = group_size
        Retriever(encoder, index, reranker=reranker)  # checks that they belong together
        self._built = True

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an option; one that does not exist would do nothing."""
        if getattr(self, "_built", False) and not name.startswith("_") and not hasattr(self, name):
            raise AttributeError(
                f"M3Retriever has no option {name}; there are k, where, reps, fusion, candidates, "
                "min_score, group_by, group_size, reranker, encoder and index"
            )
        super().__setattr__(name, value)

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        """
        Search by `query_str`.

        With `custom_embedding_strs`, as of HyDE, the dense vector is the mean of theirs. A bundle's
        `embedding` is ignored: it may come from another model.
        """
        encoder = self.encoder
        if query_bundle.custom_embedding_strs:
            encoder = QueryEncoder(encoder, query_bundle.custom_embedding_strs)
        fusion = to_fusion(self.fusion)
        by_places = isinstance(fusion, RRF) and self.reranker is None
        least, where, group_by = self.min_score, self.where, to_group_field(self.group_by)
        cuts_here = by_places and least is not None
        hits = Retriever(encoder, self.index, reranker=self.reranker).search(
            query_bundle.query_str,
            k=max(self.k * self.group_size, self.candidates) if cuts_here else self.k,
            where=to_filter(where) if isinstance(where, MetadataFilters) else where,
            reps=self.reps,
            fusion=fusion,
            candidates=self.candidates,
            min_score=None if by_places else least,
            with_scores=by_places,
            group_by=None if cuts_here else group_by,
            group_size=1 if cuts_here else self.group_size,
        )
        if cuts_here:
            hits = [hit for hit in hits if least is None or relevance(hit, fusion) >= least]
            hits = hits[: self.k] if group_by is None else self._grouped(hits, group_by)
        scored = [
            NodeWithScore(
                node=to_node(hit.document),
                score=hit.score if self.reranker is not None else relevance(hit, fusion),
            )
            for hit in hits
        ]
        return [node for node in scored if least is None or node.get_score() >= least]

    def _grouped(self, hits: Sequence[Hit], group_by: Field) -> list[Hit]:
        return group_hits(hits, group_by, k=self.k, group_size=self.group_size)

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return await to_thread(self._retrieve, query_bundle)
