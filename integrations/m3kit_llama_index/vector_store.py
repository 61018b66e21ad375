"""One LlamaIndex vector store for every `HybridIndex`."""

from __future__ import annotations

from asyncio import to_thread
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any, TypeAlias, TypeVar

import numpy as np
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.schema import BaseNode
from llama_index.core.vector_stores.types import (
    BasePydanticVectorStore,
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryMode,
    VectorStoreQueryResult,
)

from m3kit.encoder import Encoder
from m3kit.filters import All, And, Eq, Filter, Ids, In
from m3kit.fusion import RRF, Fusion, WeightedSum
from m3kit.index import HybridIndex, Search, check_reps
from m3kit.records import Document
from m3kit.retriever import Retriever
from m3kit.scoring import require
from m3kit.vectors import M3Output, Rep
from m3kit_llama_index.filters import says_nothing, to_filter
from m3kit_llama_index.mmr import marginal
from m3kit_llama_index.nodes import REF_DOC_ID, to_document, to_node

_DEPTH = 100
"""How many candidates a branch brings, where the query does not say."""

_MMR_OPTIONS = {"mmr_threshold", "mmr_prefetch_k", "mmr_prefetch_factor"}

_Scored: TypeAlias = tuple[Document, float]
_Number = TypeVar("_Number", int, float)


class M3VectorStore(BasePydanticVectorStore):
    """
    Encodes nodes and queries by itself, each once, and searches an index for them.

    What is encoded is the content that LlamaIndex shows to embedding models, metadata included. A
    node's own `embedding` is not looked at.

    Args:
        encoder: A `CachedEncoder` shared with `M3Embedding` encodes each node once.
        index: Where the nodes live.

    Raises:
        RepresentationError: If the encoder cannot give what the index holds.
        ModelMismatchError: If the index was made by another model.
    """

    stores_text: bool = True
    is_embedding_query: bool = False
    _retriever: Retriever = PrivateAttr()

    def __init__(self, encoder: Encoder, index: HybridIndex) -> None:
        super().__init__(stores_text=True)
        self._retriever = Retriever(encoder, index)

    @classmethod
    def class_name(cls) -> str:
        """Name the class in LlamaIndex's records."""
        return "M3VectorStore"

    @property
    def client(self) -> HybridIndex:
        """The index."""
        return self._retriever.index

    def add(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[str]:
        """
        Encode and write nodes; one with a known id replaces the old.

        Nothing is written if one of them cannot be kept; see `nodes.py` for how they are.
        """
        _refuse(kwargs)
        documents = [to_document(node) for node in nodes]
        self._retriever.add(documents)
        return [document.id for document in documents]

    def delete(self, ref_doc_id: str, **delete_kwargs: Any) -> None:
        """Forget all nodes of a source document, or the one node that has no source."""
        _refuse(delete_kwargs)
        self._delete(Eq(REF_DOC_ID, ref_doc_id))

    def delete_nodes(
        self,
        node_ids: list[str] | None = None,
        filters: MetadataFilters | None = None,
        **delete_kwargs: Any,
    ) -> None:
        """
        Forget the nodes that have one of these ids and match the filters, where both are given.

        Raises:
            ValueError: If nothing is said; to forget all, call `clear`.
        """
        _refuse(delete_kwargs)
        if node_ids is None and (filters is None or says_nothing(filters)):
            raise ValueError("delete_nodes is told neither ids nor filters; to forget all: clear()")
        self._delete(_where(node_ids, filters))

    def clear(self) -> None:
        """Forget all nodes; the index stays."""
        self._delete(All())

    def get_nodes(
        self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None
    ) -> list[BaseNode]:
        """
        Return nodes: of ids in their order, unknown ones left out; else in no promised order.

        Without arguments, all nodes.
        """
        where = _where(node_ids, filters)
        if node_ids is None:
            return [to_node(record.document) for record in self.client.scan(where)]
        kept = set(node_ids)
        if filters is not None:
            kept = {record.document.id for record in self.client.scan(where)}
        records = self.client.get([id_ for id_ in node_ids if id_ in kept])
        return [to_node(record.document) for record in records]

    def query(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        """
        Find nodes. The text of the query is encoded, once.

        DEFAULT: The dense vector.

        SPARSE: The lexical weights; `sparse_top_k` nodes, if given.

        HYBRID: `hybrid_top_k` nodes, if given. Without `alpha`, the reciprocal ranks of the dense
        and the sparse ranking, and the order of ColBERT where the index holds it. With `alpha`,
        `alpha · dense + (1 - alpha) · sparse`. Each branch brings 100 candidates, or with
        `sparse_top_k` the greater of it and `similarity_top_k`.

        MMR: Maximal marginal relevance by dense vectors (Carbonell and Goldstein, SIGIR 1998). A
        threshold of 1 asks for relevance alone, of 0 for difference alone. By keyword, the way that
        LlamaIndex's retriever passes on: `mmr_threshold`, and `mmr_prefetch_k` candidates, or
        `mmr_prefetch_factor` times as many as are wanted; by default 100.

        A `query_embedding` stands in for the dense vector where there is no text. An empty list of
        `node_ids` is no limit, since `as_retriever` always hands over a list; an empty list of
        `doc_ids` finds nothing. (That list has the image and index nodes that a `VectorStoreIndex`
        was given and no text nodes: to search both together, take `M3Retriever`.)

        Raises:
            TypeError: For an unknown option.
            ValueError: For another mode, or an option that cannot be followed.
            RepresentationError: If the index does not hold what the mode needs.
        """
        _check(query)
        query = replace(query, mode=VectorStoreQueryMode(query.mode))  # it may be a plain string
        if query.mode is VectorStoreQueryMode.MMR:
            _refuse(kwargs.keys() - _MMR_OPTIONS)
            return _result(self._diverse(query, **kwargs))
        _refuse(kwargs)
        match query.mode:
            case VectorStoreQueryMode.DEFAULT:
                return _result(self._search(query, ["dense"], query.similarity_top_k))
            case VectorStoreQueryMode.SPARSE:
                k = _given(query.sparse_top_k, query.similarity_top_k)
                return _result(self._search(query, ["sparse"], k))
            case VectorStoreQueryMode.HYBRID:
                return _result(self._hybrid(query))
            case _:
                raise ValueError(
                    f"M3VectorStore has no mode {query.mode.value!r}; it has default, sparse, "
                    "hybrid and mmr"
                )

    def persist(self, persist_path: str, fs: Any = None) -> None:
        """Make the index durable where it lives; no file is written at `persist_path`."""
        del persist_path, fs
        self.client.flush()

    async def async_add(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[str]:
        """Call `add` in a thread."""
        return await to_thread(self.add, nodes, **kwargs)

    async def adelete(self, ref_doc_id: str, **delete_kwargs: Any) -> None:
        """Call `delete` in a thread."""
        await to_thread(self.delete, ref_doc_id, **delete_kwargs)

    async def adelete_nodes(
        self,
        node_ids: list[str] | None = None,
        filters: MetadataFilters | None = None,
        **delete_kwargs: Any,
    ) -> None:
        """Call `delete_nodes` in a thread."""
        await to_thread(self.delete_nodes, node_ids, filters, **delete_kwargs)

    async def aclear(self) -> None:
        """Call `clear` in a thread."""
        await to_thread(self.clear)

    async def aget_nodes(
        self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None
    ) -> list[BaseNode]:
        """Call `get_nodes` in a thread."""
        return await to_thread(self.get_nodes, node_ids, filters)

    async def aquery(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        """Call `query` in a thread."""
        return await to_thread(self.query, query, **kwargs)

    def _delete(self, where: Filter) -> None:
        self.client.delete_where(where)
        self.client.flush()

    def _hybrid(self, query: VectorStoreQuery) -> list[_Scored]:
        k = _given(query.hybrid_top_k, query.similarity_top_k)
        candidates = _DEPTH
        if query.sparse_top_k is not None:
            candidates = max(query.sparse_top_k, query.similarity_top_k)
        reps: list[Rep] = ["dense", "sparse"]
        if query.alpha is not None:
            fusion = WeightedSum(dense=query.alpha, sparse=1 - query.alpha, colbert=0)
            return self._search(query, reps, k, fusion, candidates)
        if "colbert" in self.client.reps:
            reps.append("colbert")
        return self._search(query, reps, k, RRF(), candidates)

    def _diverse(
        self,
        query: VectorStoreQuery,
        *,
        mmr_threshold: float | None = None,
        mmr_prefetch_k: int | None = None,
        mmr_prefetch_factor: float | None = None,
    ) -> list[_Scored]:
        threshold = _given(query.mmr_threshold, _given(mmr_threshold, 0.5))
        if not 0 <= threshold <= 1:
            raise ValueError(f"mmr_threshold is from 0 to 1, not {threshold}")
        if mmr_prefetch_k is not None and mmr_prefetch_factor is not None:
            raise ValueError("mmr_prefetch_k and mmr_prefetch_factor say the same; give one")
        k = query.similarity_top_k
        if k < 1:
            raise ValueError(f"similarity_top_k is at least 1, not {k}")
        wanted = _DEPTH if mmr_prefetch_factor is None else int(k * mmr_prefetch_factor)
        found = self._search(query, ["dense"], max(k, _given(mmr_prefetch_k, wanted)))
        relevance = {document.id: score for document, score in found}
        records = self.client.get(list(relevance), ["dense"])
        if not records:
            return []
        chosen = marginal(
            np.array([relevance[record.document.id] for record in records], dtype=np.float32),
            np.stack([require(record.output.dense, "dense") for record in records]),
            k,
            threshold,
        )
        return [(records[row].document, score) for row, score in chosen]

    def _search(
        self,
        query: VectorStoreQuery,
        reps: Collection[Rep],
        k: int,
        fusion: Fusion = RRF(),  # noqa: B008  # frozen, so one default serves all
        candidates: int = _DEPTH,
    ) -> list[_Scored]:
        check_reps(reps, held=self.client.reps)
        search = Search(
            query=self._encoded(query, reps),
            k=k,
            where=_where(query.node_ids or None, query.filters, query.doc_ids),
            fusion=fusion,
            candidates=candidates,
        )
        return [(hit.document, hit.score) for hit in self.client.search(search)]

    def _encoded(self, query: VectorStoreQuery, reps: Collection[Rep]) -> M3Output:
        if not query.query_str and query.query_embedding is not None:
            if set(reps) != {"dense"}:
                raise ValueError(
                    f"mode {query.mode.value} reads {', '.join(reps)} vectors from query_str, and "
                    "this query brings only an embedding"
                )
            return M3Output(dense=np.array(query.query_embedding, dtype=np.float32))
        if query.query_str is None:
            raise ValueError("the query has no query_str, which M3VectorStore encodes by itself")
        (output,) = self._retriever.encoder.encode_queries([query.query_str], reps)
        return output


def _where(
    node_ids: Sequence[str] | None,
    filters: MetadataFilters | None,
    doc_ids: Sequence[str] | None = None,
) -> Filter:
    for name, some in (("node_ids", node_ids), ("doc_ids", doc_ids)):
        if isinstance(some, str):
            raise TypeError(f"{name} are a list, not the string {some!r}; write [{some!r}]")
    given: list[Filter] = []
    if node_ids is not None:
        given.append(Ids(tuple(node_ids)))
    if doc_ids is not None:
        given.append(In(REF_DOC_ID, tuple(doc_ids)))
    if filters is not None:
        given.append(to_filter(filters))
    return And(tuple(given)) if given else All()


def _result(found: Sequence[_Scored]) -> VectorStoreQueryResult:
    return VectorStoreQueryResult(
        nodes=[to_node(document) for document, _ in found],
        similarities=[score for _, score in found],
        ids=[document.id for document, _ in found],
    )


def _check(query: VectorStoreQuery) -> None:
    for option in ("output_fields", "embedding_field"):
        if getattr(query, option) is not None:
            raise ValueError(f"M3VectorStore cannot follow {option}; leave it out")
    if query.alpha is not None and not 0 <= query.alpha <= 1:
        raise ValueError(f"alpha is from 0 (sparse) to 1 (dense), not {query.alpha}")


def _refuse(unknown: Iterable[str]) -> None:
    if names := ", ".join(sorted(unknown)):
        raise TypeError(f"M3VectorStore does not know {names}")


def _given(number: _Number | None, otherwise: _Number) -> _Number:
    """Take 0 for a number, where `or` would not."""
    return otherwise if number is None else number
