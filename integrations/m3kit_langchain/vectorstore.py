"""A LangChain vector store over any index: hybrid search, encoded once."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence, Sized
from contextlib import ExitStack
from os import PathLike
from typing import Any, Self

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.runnables.config import run_in_executor
from langchain_core.vectorstores import VectorStore, VectorStoreRetriever
from langchain_core.vectorstores.utils import maximal_marginal_relevance

from m3kit.adapters.closing import ClosesOnExit
from m3kit.encoder import Encoder
from m3kit.frameworks import Frozen, check_documents, relevance, unit
from m3kit.fusion import RRF, Fusion, FusionName, WeightedSum, to_fusion
from m3kit.index import HybridIndex, Search, check_count, open_index
from m3kit.memory import MemoryIndex
from m3kit.records import Document as M3Document
from m3kit.records import Hit
from m3kit.retriever import Retriever
from m3kit.scoring import require
from m3kit.vectors import Floats, M3Output, Rep
from m3kit_langchain.documents import to_langchain, to_m3
from m3kit_langchain.embeddings import EmbeddingsEncoder, M3Embeddings, to_encoder
from m3kit_langchain.filters import Where, to_filter
from m3kit_langchain.options import Options, check_is_list, check_known, without_filter


class M3VectorStore(Frozen, ClosesOnExit, VectorStore):
    """
    Documents in an index, searched by every representation that it holds: dense, sparse, ColBERT.

    Every search takes the options `where` (or `filter`), `reps`, `fusion`, `candidates`,
    `min_score`, `group_by` and `group_size`; see `m3kit_langchain.options.Options`. Defaults for
    them are set here; a store that is built is not changed: make another one over another index.

        with M3VectorStore(M3Embeddings(), "papers") as store:
            store.add_texts(["To freeze rows, choose View."])

    Args:
        encoder: An `m3kit.Encoder`, or any LangChain `Embeddings`, whose vectors are normalised.
        index: An index, or the address of one, which is created if there is none (see
            `m3kit.open_index`). The store closes an index that it opened, and no other.
        reps: Which representations take part in a search; by default all that the index holds.
        fusion: How they become one ranking.
        candidates: How many candidates each branch brings, and how many are rescored.

    Raises:
        RepresentationError: If the encoder cannot make what the index holds.
        ModelMismatchError: If the index was made by another model.
        IndexNotFoundError: If no installed package opens the address.
    """

    def __init__(
        self,
        encoder: Encoder | Embeddings,
        index: HybridIndex | str | PathLike[str],
        *,
        reps: Collection[Rep] | None = None,
        fusion: Fusion | FusionName = WeightedSum(),  # noqa: B008  # frozen, so one default serves all
        candidates: int = 100,
    ) -> None:
        self._options = Options(reps=reps, fusion=to_fusion(fusion), candidates=candidates)
        self.encoder = to_encoder(encoder)
        with ExitStack() as resources:
            if isinstance(index, str | PathLike):
                index = resources.enter_context(open_index(index, encoder=self.encoder))
            self.index: HybridIndex = index
            self._retriever = Retriever(self.encoder, index)
            self._resources = resources.pop_all()
        self._freeze()

    @classmethod
    def from_texts(
        cls,
        texts: Iterable[str],
        embedding: Embeddings | Encoder,
        metadatas: Iterable[dict[str, Any]] | None = None,
        *,
        ids: Iterable[str | None] | None = None,
        index: HybridIndex | str | PathLike[str] | None = None,
        **kwargs: Any,
    ) -> Self:
        """
        Make a store and add texts to it.

        `from_documents` and the asynchronous twins take the same arguments:

            with M3VectorStore.from_documents(documents, M3Embeddings(), index="papers") as store:
                store.similarity_search("How do I freeze rows?")

        Args:
            texts: See `add_texts`.
            embedding: The model. With `M3Embeddings`, all representations that it makes are used.
            metadatas: See `add_texts`.
            ids: See `add_texts`.
            index: An index, or the address of one; by default a `MemoryIndex`, gone with the
                process. If the call fails, an index that it opened is closed.
            kwargs: `reps`, `fusion` and `candidates`, as the class takes them.
        """
        encoder = to_encoder(embedding)
        store = cls(encoder, MemoryIndex(encoder=encoder) if index is None else index, **kwargs)
        with ExitStack() as on_error:
            on_error.callback(store.close)
            store.add_texts(texts, metadatas, ids=ids)
            on_error.pop_all()
        return store

    def close(self) -> None:
        """Close the index if this store opened it; a second call does nothing."""
        self._resources.close()

    @property
    def embeddings(self) -> Embeddings:
        """The dense side of the encoder."""
        if isinstance(self.encoder, EmbeddingsEncoder):
            return self.encoder.embeddings
        return M3Embeddings(encoder=self.encoder)

    # Writing --------------------------------------------------------------------------------------

    def add_documents(
        self,
        documents: Iterable[Document],
        *,
        ids: Iterable[str | None] | None = None,
        batch_size: int = 128,
        **kwargs: Any,
    ) -> list[str]:
        """
        Write documents, any number of them; a known id is replaced.

        Of a list, all documents are checked before anything is encoded or written: their metadata,
        and whether the engine holds them. Another iterable is read as it is needed.

        Args:
            documents: They are not changed. Dates, UUIDs and the like in their metadata become
                JSON; see `m3kit_langchain.documents.to_m3`.
            ids: Their ids; where None, the document's, or a new one (UUID 4).
            batch_size: How many are encoded and written at once.
            kwargs: None are known.

        Returns:
            The ids, in order.

        Raises:
            ValueError: If there are more or fewer ids than documents: before anything is written,
                if both are lists.
            TypeError: If metadata is not JSON, naming the position and the id of the document, and
                the metadata key.
            DocumentError: If the engine cannot hold a document, naming it in the same way.
        """
        check_known(kwargs, (), "further arguments of add_documents")
        batch_size = check_count(batch_size, "batch_size")
        _check_as_many(documents, ids, "ids")
        written: list[str] = []

        def convert() -> Iterator[M3Document]:
            for position, (document, id_) in enumerate(_pairs(documents, ids, None)):
                converted = to_m3(document, id_, position)
                written.append(converted.id)
                yield converted

        if isinstance(documents, Sized):
            checked = list(convert())
            check_documents(self.index, checked)
            self._retriever.add(checked, batch_size=batch_size)
        else:
            self._retriever.add(convert(), batch_size=batch_size)
        return written

    def add_texts(
        self,
        texts: Iterable[str],
        metadatas: Iterable[dict[str, Any]] | None = None,
        *,
        ids: Iterable[str | None] | None = None,
        **kwargs: Any,
    ) -> list[str]:
        """Write texts, with a dict of metadata and an id each; see `add_documents`."""
        check_is_list(texts, "texts")
        _check_as_many(texts, metadatas, "metadatas")
        _check_as_many(texts, ids, "ids")
        documents: Iterable[Document] = (
            Document(page_content=text, metadata=metadata)
            for text, metadata in _pairs(texts, metadatas, {})
        )
        if isinstance(texts, Sized):
            documents = list(documents)
        return self.add_documents(documents, ids=ids, **kwargs)

    def delete(self, ids: Sequence[str] | None = None, **kwargs: Any) -> bool:
        """
        Delete documents; unknown ids are no error.

        Args:
            ids: Which documents.
            kwargs: `where` (or `filter`): which documents, in place of ids. To delete all, pass
                `where=m3kit.All()`.

        Raises:
            ValueError: If neither is given, which to LangChain means all, or both, or `{}`.
        """
        given = without_filter(kwargs)
        check_known(given, ("where",), "further arguments of delete")
        where: Where | None = given.get("where")
        if (ids is None) == (where is None) or where == {}:
            raise ValueError("delete takes ids or where; to delete all, pass where=m3kit.All()")
        if where is not None:
            self.index.delete_where(to_filter(where))
        elif ids is not None:
            check_is_list(ids, "ids")
            self.index.delete(ids)
        self.index.flush()
        return True

    # Reading --------------------------------------------------------------------------------------

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """Return the documents of these ids in that order, unknown ones left out."""
        check_is_list(ids, "ids")
        return [to_langchain(record.document) for record in self.index.get(ids)]

    def similarity_search(self, query: str, k: int = 4, **kwargs: Any) -> list[Document]:
        """Return the `k` best documents; the class documents the options."""
        return [document for document, _ in self.similarity_search_with_score(query, k, **kwargs)]

    def similarity_search_with_score(
        self, query: str, k: int = 4, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """Return documents with their scores; higher is better."""
        return _to_pairs(self._search(query, k, self._options.updated(kwargs)))

    def similarity_search_by_vector(
        self, embedding: Sequence[float], k: int = 4, **kwargs: Any
    ) -> list[Document]:
        """Return the documents whose dense vectors are nearest; `reps` is refused here."""
        dense = unit(embedding)
        hits = self._search_encoded(M3Output(dense=dense), k, self._vector_options(kwargs))
        return [to_langchain(hit.document) for hit in hits]

    def max_marginal_relevance_search(
        self,
        query: str,
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        **kwargs: Any,
    ) -> list[Document]:
        """
        Return documents that answer the query and differ from each other, by dense vectors.

        The query is encoded once: all representations find the candidates, and the dense vector
        selects among them (Carbonell and Goldstein, SIGIR 1998).

        Args:
            query: The text to search for.
            k: How many documents are wanted.
            fetch_k: How many candidates they are selected from; never below `k`.
            lambda_mult: From 0, diversity alone, to 1, relevance alone.
            kwargs: Options; see the class.
        """
        options = self._options.updated(kwargs)
        reps = options.among(self.index.reps)
        (output,) = self.encoder.encode_queries([query], tuple({*reps, "dense"}))
        hits = self._search_encoded(output.only(*reps), max(k, fetch_k), options)
        return self._select_diverse(require(output.dense, "dense"), hits, k, lambda_mult)

    def max_marginal_relevance_search_by_vector(
        self,
        embedding: Sequence[float],
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        **kwargs: Any,
    ) -> list[Document]:
        """Select as `max_marginal_relevance_search` does, among what is nearest to a vector."""
        dense = unit(embedding)
        options = self._vector_options(kwargs)
        hits = self._search_encoded(M3Output(dense=dense), max(k, fetch_k), options)
        return self._select_diverse(dense, hits, k, lambda_mult)

    def _similarity_search_with_relevance_scores(
        self, query: str, k: int = 4, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """
        Score from 0 to 1: what LangChain's `score_threshold` is compared with.

        The score is the weighted sum of the representations' scores (see `WeightedSum`), whatever
        fusion ranks; so with `RRF` the order need not be that of these scores.
        """
        options = self._options.updated(kwargs)
        hits = self._search(query, k, options, with_scores=isinstance(options.fusion, RRF))
        return [(to_langchain(hit.document), relevance(hit, options.fusion)) for hit in hits]

    async def _asimilarity_search_with_relevance_scores(
        self, query: str, k: int = 4, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """Do the same in a thread: LangChain's default wants a function of the score alone."""
        return await run_in_executor(
            None, self._similarity_search_with_relevance_scores, query, k, **kwargs
        )

    def as_retriever(self, **kwargs: Any) -> VectorStoreRetriever:
        """
        Return a retriever over the store.

        Args:
            kwargs: `search_type`, and `search_kwargs`: the options of its searches, such as `k`,
                `filter`, `score_threshold`. LangChain's class ignores all others; here they are
                refused. Also `tags`, `metadata` and `name` for tracing.

        Raises:
            TypeError: If an option is unknown, or belongs into `search_kwargs`.
        """
        known = [name for name in VectorStoreRetriever.model_fields if name != "vectorstore"]
        if unknown := {name: value for name, value in kwargs.items() if name not in known}:
            options = ", ".join(f"{name!r}: …" for name in unknown)
            raise TypeError(
                f"as_retriever takes {', '.join(known)}, not {', '.join(unknown)}; the options of "
                f"a search belong into search_kwargs={{{options}}}"
            )
        return super().as_retriever(**kwargs)

    def _search(
        self, query: str, k: int, options: Options, *, with_scores: bool = False
    ) -> list[Hit]:
        (output,) = self.encoder.encode_queries([query], options.among(self.index.reps))
        return self._search_encoded(output, k, options, with_scores=with_scores)

    def _search_encoded(
        self, query: M3Output, k: int, options: Options, *, with_scores: bool = False
    ) -> list[Hit]:
        return self.index.search(
            Search(
                query=query,
                k=k,
                where=None if options.where is None else to_filter(options.where),
                fusion=options.fusion,
                candidates=options.candidates,
                min_score=options.min_score,
                with_scores=with_scores,
                group_by=options.group_by,
                group_size=options.group_size,
            )
        )

    def _vector_options(self, given: dict[str, Any]) -> Options:
        if "reps" in given:
            raise TypeError("a search by vector is dense; leave reps out, or search by text")
        return self._options.updated(given)

    def _select_diverse(
        self, query: Floats, hits: Sequence[Hit], k: int, lambda_mult: float
    ) -> list[Document]:
        if not 0 <= lambda_mult <= 1:
            raise ValueError(f"lambda_mult is from 0 to 1, not {lambda_mult}")
        if k < 1:
            raise ValueError(f"k is at least 1, not {k}")
        records = self.index.get([hit.document.id for hit in hits], ["dense"])
        vectors = [require(record.output.dense, "dense").tolist() for record in records]
        selected = maximal_marginal_relevance(query, vectors, lambda_mult, k)
        return [to_langchain(records[row].document) for row in selected]


def _to_pairs(hits: Iterable[Hit]) -> list[tuple[Document, float]]:
    return [(to_langchain(hit.document), hit.score) for hit in hits]


def _pairs(items: Iterable[Any], others: Iterable[Any] | None, default: Any) -> Iterator[Any]:
    if others is None:
        return ((item, default) for item in items)
    return zip(items, others, strict=True)


def _check_as_many(items: object, others: object, what: str) -> None:
    if isinstance(items, Sized) and isinstance(others, Sized) and len(items) != len(others):
        raise ValueError(f"{len(others)} {what} for {len(items)} documents; give one each")
