"""A LlamaIndex retriever with every option of m3kit, without a `VectorStoreIndex`."""

from __future__ import annotations

from asyncio import to_thread
from collections.abc import Collection, Sequence

from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.callbacks import CallbackManager
from llama_index.core.schema import IndexNode, NodeWithScore, QueryBundle
from llama_index.core.vector_stores.types import MetadataFilters

from m3kit.encoder import Encoder
from m3kit.filters import Filter
from m3kit.fusion import Fusion, WeightedSum
from m3kit.index import HybridIndex
from m3kit.retriever import Reranker, Retriever
from m3kit.vectors import Rep
from m3kit_llama_index.filters import to_filter
from m3kit_llama_index.nodes import to_node


class M3Retriever(BaseRetriever):
    """
    Finds nodes by dense, sparse and ColBERT vectors of one encoding of the query.

    The index may have been filled by `M3VectorStore`, or by any other tool of m3kit.

    Args:
        encoder: Encodes the query.
        index: Where the nodes live.
        k: How many nodes are wanted.
        where: A filter of m3kit, or LlamaIndex's.
        reps: Which representations take part; by default all that the index holds.
        fusion: How they become one ranking.
        candidates: How many candidates each branch brings, and how many are rescored.
        min_score: Nodes below it are left out.
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
        fusion: Fusion = WeightedSum(),  # noqa: B008  # frozen, so one default serves all
        candidates: int = 100,
        min_score: float | None = None,
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
        self._retriever = Retriever(encoder, index, reranker=reranker)
        self._k = k
        self._where = to_filter(where) if isinstance(where, MetadataFilters) else where
        self._reps = reps
        self._fusion = fusion
        self._candidates = candidates
        self._min_score = min_score

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        """
        Search by `query_str`.

        A bundle's `embedding` is ignored: it may come from another model.
        """
        if query_bundle.custom_embedding_strs not in (None, [query_bundle.query_str]):
            raise ValueError(
                "M3Retriever encodes query_str alone, and this query has custom_embedding_strs; "
                "retrieve with a query for each of them"
            )
        hits = self._retriever.search(
            query_bundle.query_str,
            k=self._k,
            where=self._where,
            reps=self._reps,
            fusion=self._fusion,
            candidates=self._candidates,
            min_score=self._min_score,
        )
        return [NodeWithScore(node=to_node(hit.document), score=hit.score) for hit in hits]

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return await to_thread(self._retrieve, query_bundle)
