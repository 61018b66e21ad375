"""One LlamaIndex vector store for every `HybridIndex`."""

from __future__ import annotations

from asyncio import to_thread
from collections.abc import Collection, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from os import PathLike
from typing import Any, NamedTuple, Self, TypeAlias, TypeVar

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

from m3kit.adapters.closing import ClosesOnExit
from m3kit.encoder import Encoder
from m3kit.filters import All, And, Eq, Field, Filter, Ids, In
from m3kit.frameworks import QueryEncoder, check_documents, unit, with_dense
from m3kit.fusion import Fusion, WeightedSum
from m3kit.index import HybridIndex, Search, VectorError, check_reps, open_index
from m3kit.records import Document
from m3kit.retriever import Retriever
from m3kit.scoring import require
from m3kit.vectors import M3Output, Rep
from m3kit_llama_index.embeddings import DeferredEmbedding
from m3kit_llama_index.filters import is_empty, to_filter
from m3kit_llama_index.mmr import select_mmr
from m3kit_llama_index.nodes import REF_DOC_ID, to_document, to_group_field, to_node

_CANDIDATES = 100
"""How many candidates each branch brings, unless the query sets it."""

_MMR_OPTIONS = {"mmr_threshold", "mmr_prefetch_k", "mmr_prefetch_factor"}

_Scored: TypeAlias = tuple[Document, float]
_Number = TypeVar("_Number", int, float)


class _Groups(NamedTuple):
    """The options of grouping; see `m3kit.Search`."""

    group_by: Field | None
    group_size: int


class M3VectorStore(BasePydanticVectorStore, ClosesOnExit):
    """
    Encodes nodes and queries, each once, and stores and searches them in an index.

    What is encoded is a node's content for embedding models, metadata included. The `embedding` of
    a node is ignored.

        with M3VectorStore(encoder, "papers") as store:
            context = StorageContext.from_defaults(vector_store=store)
            VectorStoreIndex.from_documents(documents, context, embed_model=M3StoreEmbedding())

    Args:
        encoder: The model.
        index: An index, or the address of one, which is created if there is none (see
            `m3kit.open_index`). The store closes an index that it opened, and no other.

    Raises:
        RepresentationError: If the encoder cannot make what the index holds.
        ModelMismatchError: If the index was made by another model.
        IndexNotFoundError: If no installed package opens the address.
    """

    stores_text: bool = True
    is_embedding_query: bool = True  # so that HyDE and embeddings of queries reach the store
    _retriever: Retriever = PrivateAttr()
    _resources: ExitStack = PrivateAttr()

    def __init__(self, encoder: Encoder, index: HybridIndex | str | PathLike[str]) -> None:
        super().__init__(stores_text=True)
        with ExitStack() as resources:
            if isinstance(index, str | PathLike):
                index = resources.enter_context(open_index(index, encoder=encoder))
            self._retriever = Retriever(encoder, index)
            self._resources = resources.pop_all()

    def __getstate__(self) -> dict[str, Any]:
        """Refuse to pickle: LlamaIndex would silently drop an index that cannot be pickled."""
        state: dict[str, Any] = super().__getstate__()
        if not {"_retriever", "_resources"} <= state["__pydantic_private__"].keys():
            raise TypeError(
                "a store cannot be pickled with its encoder and its index; open the index again "
                "in the other process"
            )
        return state

    def close(self) -> None:
        """Close the index if this store opened it; a second call does nothing."""
        self._resources.close()

    @classmethod
    def class_name(cls) -> str:
        """Name the class in LlamaIndex's records."""
        return "M3VectorStore"

    @classmethod
    def from_dict(cls, data: dict[str, Any], **kwargs: Any) -> Self:
        """Make a store over `index=` with `encoder=`, which no dict can hold."""
        if kwargs.keys() != {"encoder", "index"}:
            raise TypeError(
                f"a dict of {data.get('class_name', cls.class_name())} holds no model and no "
                "index; give from_dict encoder= and index= besides it"
            )
        return cls(**kwargs)

    @property
    def client(self) -> HybridIndex:
        """The index."""
        return self._retriever.index

    def add(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[str]:
        """
        Encode and write nodes; a node with a known id replaces the old one.

        Nothing is written if one of them cannot be stored; see `nodes.py` for their form.
        """
        _refuse(kwargs)
        documents = [to_document(node, position) for position, node in enumerate(nodes)]
        check_documents(self.client, documents)
        self._retriever.add(documents)
        return [document.id for document in documents]

    def delete(self, ref_doc_id: str, **delete_kwargs: Any) -> None:
        """Delete all nodes of a source document, or the node of this id if it has no source."""
        _refuse(delete_kwargs)
        self._delete(Eq(REF_DOC_ID, ref_doc_id))

    def delete_nodes(
        self,
        node_ids: list[str] | None = None,
        filters: MetadataFilters | None = None,
        **delete_kwargs: Any,
    ) -> None:
        """
        Delete nodes by their ids, by filters, or by both, which then must both match.

        Raises:
            ValueError: If neither is given; to delete all nodes, call `clear`.
        """
        _refuse(delete_kwargs)
        if node_ids is None and (filters is None or is_empty(filters)):
            raise ValueError(
                "delete_nodes needs node_ids or filters; to delete all nodes, call clear()"
            )
        self._delete(_where(node_ids, filters))

    def clear(self) -> None:
        """Delete all nodes; the index stays."""
        self._delete(All())

    def get_nodes(
        self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None
    ) -> list[BaseNode]:
        """
        Return nodes: in the order of `node_ids`, without unknown ones, or else in any order.

        Without arguments, all nodes.
        """
        where = _where(node_ids, filters)
        if node_ids is None:
            return [to_node(record.document) for record in self.client.scan(where)]
        matching = set(node_ids)
        if filters is not None:
            matching = {record.document.id for record in self.client.scan(where)}
        records = self.client.get([id_ for id_ in node_ids if id_ in matching])
        return [to_node(record.document) for record in records]

    def query(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        """
        Search for nodes. The text of the query is encoded once.

        DEFAULT: Search by the dense vector.

        SPARSE: Search by lexical weights; `sparse_top_k` nodes, if given.

        HYBRID: Search by both; `hybrid_top_k` nodes, if given. Without `alpha`, the score is M3's
        weighted sum, with ColBERT where the index holds it (see `m3kit.WeightedSum`). With
        `alpha`, it is `alpha · dense + (1 - alpha) · sparse`. Each branch brings 100
        candidates, or with `sparse_top_k` the greater of it and `similarity_top_k`.

        MMR: Maximal marginal relevance by dense vectors (Carbonell and Goldstein, SIGIR 1998). A
        threshold of 1 means relevance alone, 0 diversity alone. Options, as LlamaIndex's retriever
        passes them on: `mmr_threshold`, and `mmr_prefetch_k` candidates, or `mmr_prefetch_factor`
        times `similarity_top_k`; by default 100.

        In every mode, the options `group_by` and `group_size`: of the nodes with the same value in
        a field of the metadata, only the best are returned, of as many groups as nodes are wanted
        (see `m3kit.Search`). `group_by="ref_doc_id"` is the node's source. LlamaIndex's retriever
        passes them on: `as_retriever(vector_store_kwargs={"group_by": …})`. MMR selects among what
        grouping leaves.

        Scores are from 0 to 1, but for MMR's, so that `SimilarityPostprocessor` can cut them.

        A `query_embedding` is the dense vector of the query, also besides its text, from which
        the other vectors are made; one of `M3StoreEmbedding` stands for texts, which are encoded
        here. (In SPARSE mode LlamaIndex's retriever drops texts that stand for a query, as HyDE's;
        `M3Retriever(…, reps=["sparse"])` searches by their weights.) An empty list of
        `node_ids` is no filter, since `as_retriever` always passes a list; an empty list of
        `doc_ids` matches nothing. (That list has the image and index nodes of a `VectorStoreIndex`
        and no text nodes: to search both together, use `M3Retriever`.)

        Raises:
            TypeError: For an unknown option.
            ValueError: For an unsupported mode or option.
            VectorError: If the `query_embedding` is of another width than the index.
            RepresentationError: If the index does not hold what the mode needs.
        """
        _check(query)
        query = replace(query, mode=VectorStoreQueryMode(query.mode))  # it may be a plain string
        groups = _Groups(kwargs.pop("group_by", None), kwargs.pop("group_size", 1))
        if query.mode is VectorStoreQueryMode.MMR:
            _refuse(kwargs.keys() - _MMR_OPTIONS)
            return _result(self._mmr(query, groups, **kwargs))
        _refuse(kwargs)
        match query.mode:
            case VectorStoreQueryMode.DEFAULT:
                k = query.similarity_top_k
                return _result(_clipped(self._search(query, groups, ["dense"], k)))
            case VectorStoreQueryMode.SPARSE:
                k = _given(query.sparse_top_k, query.similarity_top_k)
                return _result(_clipped(self._search(query, groups, ["sparse"], k)))
            case VectorStoreQueryMode.HYBRID:
                return _result(_clipped(self._hybrid(query, groups)))
            case _:
                raise ValueError(
                    f"M3VectorStore does not support the mode {query.mode.value!r}; use default, "
                    "sparse, hybrid or mmr"
                )

    def persist(self, persist_path: str, fs: Any = None) -> None:
        """Flush the index to where it is stored; no file is written at `persist_path`."""
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

    def _hybrid(self, query: VectorStoreQuery, groups: _Groups) -> list[_Scored]:
        k = _given(query.hybrid_top_k, query.similarity_top_k)
        candidates = _CANDIDATES
        if query.sparse_top_k is not None:
            candidates = max(query.sparse_top_k, query.similarity_top_k)
        reps: list[Rep] = ["dense", "sparse"]
        if query.alpha is not None:
            fusion = WeightedSum(dense=query.alpha, sparse=1 - query.alpha, colbert=0)
            return self._search(query, groups, reps, k, fusion, candidates=candidates)
        if "colbert" in self.client.reps:
            reps.append("colbert")
        return self._search(query, groups, reps, k, candidates=candidates)

    def _mmr(
        self,
        query: VectorStoreQuery,
        groups: _Groups,
        *,
        mmr_threshold: float | None = None,
        mmr_prefetch_k: int | None = None,
        mmr_prefetch_factor: float | None = None,
    ) -> list[_Scored]:
        threshold = _given(query.mmr_threshold, _given(mmr_threshold, 0.5))
        if not 0 <= threshold <= 1:
            raise ValueError(f"mmr_threshold is from 0 to 1, not {threshold}")
        if mmr_prefetch_k is not None and mmr_prefetch_factor is not None:
            raise ValueError("give mmr_prefetch_k or mmr_prefetch_factor, not both")
        k = query.similarity_top_k
        if k < 1:
            raise ValueError(f"similarity_top_k is at least 1, not {k}")
        fetch_k = _CANDIDATES if mmr_prefetch_factor is None else int(k * mmr_prefetch_factor)
        scored = self._search(query, groups, ["dense"], max(k, _given(mmr_prefetch_k, fetch_k)))
        relevance = {document.id: score for document, score in scored}
        records = self.client.get(list(relevance), ["dense"])
        if not records:
            return []
        selected = select_mmr(
            np.array([relevance[record.document.id] for record in records], dtype=np.float32),
            np.stack([require(record.output.dense, "dense") for record in records]),
            k,
            threshold,
        )
        return [(records[row].document, score) for row, score in selected]

    def _search(
        self,
        query: VectorStoreQuery,
        groups: _Groups,
        reps: Collection[Rep],
        k: int,
        fusion: Fusion = WeightedSum(),  # noqa: B008  # frozen, so one default serves all
        *,
        candidates: int = _CANDIDATES,
    ) -> list[_Scored]:
        check_reps(reps, available=self.client.reps)
        search = Search(
            query=self._encode(query, reps),
            k=k,
            where=_where(query.node_ids or None, query.filters, query.doc_ids),
            fusion=fusion,
            candidates=candidates,
            group_by=to_group_field(groups.group_by),
            group_size=groups.group_size,
        )
        return [(hit.document, hit.score) for hit in self.client.search(search)]

    def _encode(self, query: VectorStoreQuery, reps: Collection[Rep]) -> M3Output:
        text, embedding = query.query_str, query.query_embedding
        encoder = self._retriever.encoder
        if isinstance(embedding, DeferredEmbedding):
            encoder = QueryEncoder(encoder, embedding.texts)
            (output,) = encoder.encode_queries([text or embedding.texts[0]], reps)
            return output
        if embedding is None:
            if text is None:
                raise ValueError("the query has no query_str, which M3VectorStore encodes; give it")
            (output,) = encoder.encode_queries([text], reps)
            return output
        if not text and set(reps) != {"dense"}:
            raise ValueError(
                f"mode {query.mode.value} searches by {', '.join(reps)} vectors, and the query "
                "has only a dense embedding; give query_str"
            )
        if "dense" in reps and len(embedding) != encoder.dim:
            raise VectorError(
                f"the query_embedding is {len(embedding)} wide, and vectors of {encoder.model} "
                f"are {encoder.dim} wide; give VectorStoreIndex embed_model=M3StoreEmbedding()"
            )
        (output,) = with_dense(encoder, [text or ""], list(reps), unit(embedding))
        return output


def _where(
    node_ids: Sequence[str] | None,
    filters: MetadataFilters | None,
    doc_ids: Sequence[str] | None = None,
) -> Filter:
    for name, ids in (("node_ids", node_ids), ("doc_ids", doc_ids)):
        if isinstance(ids, str):
            raise TypeError(f"{name} are a list, not the string {ids!r}; write [{ids!r}]")
    conditions: list[Filter] = []
    if node_ids is not None:
        conditions.append(Ids(tuple(node_ids)))
    if doc_ids is not None:
        conditions.append(In(REF_DOC_ID, tuple(doc_ids)))
    if filters is not None:
        conditions.append(to_filter(filters))
    return And(tuple(conditions)) if conditions else All()


def _clipped(scored: Sequence[_Scored]) -> list[_Scored]:
    return [(document, min(max(score, 0.0), 1.0)) for document, score in scored]


def _result(scored: Sequence[_Scored]) -> VectorStoreQueryResult:
    return VectorStoreQueryResult(
        nodes=[to_node(document) for document, _ in scored],
        similarities=[score for _, score in scored],
        ids=[document.id for document, _ in scored],
    )


def _check(query: VectorStoreQuery) -> None:
    for option in ("output_fields", "embedding_field"):
        if getattr(query, option) is not None:
            raise ValueError(f"M3VectorStore does not support {option}; leave it out")
    if query.alpha is not None and not 0 <= query.alpha <= 1:
        raise ValueError(f"alpha is from 0 (sparse) to 1 (dense), not {query.alpha}")


def _refuse(unknown: Iterable[str]) -> None:
    if names := ", ".join(sorted(unknown)):
        raise TypeError(f"M3VectorStore has no option {names}")


def _given(number: _Number | None, default: _Number) -> _Number:
    """Return the default for None; `or` would replace 0, too."""
    return default if number is None else number
