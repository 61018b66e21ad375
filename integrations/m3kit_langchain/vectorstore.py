"""A LangChain vector store over any index: hybrid search, encoded once."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence, Sized
from typing import Any, Self

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.runnables.config import run_in_executor
from langchain_core.vectorstores import VectorStore
from langchain_core.vectorstores.utils import maximal_marginal_relevance

from m3kit.encoder import Encoder
from m3kit.fusion import RRF, Fusion
from m3kit.index import HybridIndex, Search
from m3kit.memory import MemoryIndex
from m3kit.records import Document as M3Document
from m3kit.records import Hit
from m3kit.retriever import Retriever
from m3kit.scoring import require
from m3kit.vectors import Floats, M3Output, Rep
from m3kit_langchain.documents import to_langchain, to_m3
from m3kit_langchain.embeddings import EmbeddingsEncoder, M3Embeddings, to_encoder, unit
from m3kit_langchain.filters import Where, to_filter
from m3kit_langchain.options import Options, check_known, check_listed, without_filter


class M3VectorStore(VectorStore):
    """
    Documents in an index, found by all that the index holds: dense, sparse, ColBERT.

    Every search takes the options `where` (or `filter`), `reps`, `fusion`, `candidates` and `min_score`;
    see `m3kit_langchain.options.Options`. What is not given there is as it was given here.

    Args:
        encoder: An `m3kit.Encoder`, or any LangChain `Embeddings`, whose vectors are normalised.
        index: Where the documents live; LangChain's fields are those of `m3kit.Document`.
        reps: Which representations take part in a search; by default all that the index holds.
        fusion: How they become one ranking.
        candidates: How many candidates each branch brings, and how many are rescored.

    Raises:
        RepresentationError: If the encoder cannot give what the index holds.
        ModelMismatchError: If the index was made by another model.
    """

    def __init__(
        self,
        encoder: Encoder | Embeddings,
        index: HybridIndex,
        *,
        reps: Collection[Rep] | None = None,
        fusion: Fusion = RRF(),  # noqa: B008  # frozen, so one default serves all
        candidates: int = 100,
    ) -> None:
        self.encoder = to_encoder(encoder)
        self.index = index
        self._retriever = Retriever(self.encoder, index)
        self._options = Options(reps=reps, fusion=fusion, candidates=candidates)

    @classmethod
    def from_texts(
        cls,
        texts: Iterable[str],
        embedding: Embeddings | Encoder,
        metadatas: Iterable[dict[str, Any]] | None = None,
        *,
        ids: Iterable[str | None] | None = None,
        index: HybridIndex | None = None,
        **kwargs: Any,
    ) -> Self:
        """
        Make a store and add texts to it.

        Args:
            texts: See `add_texts`.
            embedding: What encodes; of `M3Embeddings`, all that its model gives is used.
            metadatas: See `add_texts`.
            ids: See `add_texts`.
            index: Where they go; by default a `MemoryIndex`, gone with the process.
            kwargs: `reps`, `fusion` and `candidates`, as the class takes them.
        """
        encoder = to_encoder(embedding)
        if index is None:
            index = MemoryIndex(reps=encoder.reps, model=encoder.model)
        store = cls(encoder, index, **kwargs)
        store.add_texts(texts, metadatas, ids=ids)
        return store

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
        Write documents, any number of them, read as they are needed; a known id is replaced.

        Args:
            documents: Left as they are.
            ids: Their ids; where None, the document's own, or a new one (UUID 4).
            batch_size: How many are encoded and written at once.
            kwargs: None are known.

        Returns:
            The ids, in order.

        Raises:
            ValueError: If there are more or fewer ids than documents: before anything is written,
                if both are lists.
            TypeError: If metadata is not JSON, naming the document.
        """
        check_known(kwargs, (), "further arguments of add_documents")
        _check_as_many(documents, ids, "ids")
        written: list[str] = []

        def noted() -> Iterator[M3Document]:
            for document, id_ in _with(documents, ids, None):
                own = to_m3(document, id_)
                written.append(own.id)
                yield own

        self._retriever.add(noted(), batch_size=batch_size)
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
        check_listed(texts, "texts")
        _check_as_many(texts, metadatas, "metadatas")
        _check_as_many(texts, ids, "ids")
        documents = (
            Document(page_content=text, metadata=metadata)
            for text, metadata in _with(texts, metadatas, {})
        )
        return self.add_documents(documents, ids=ids, **kwargs)

    def delete(self, ids: Sequence[str] | None = None, **kwargs: Any) -> bool:
        """
        Forget documents; unknown ids are no error.

        Args:
            ids: Which.
            kwargs: `where` (or `filter`): which, in place of ids. To forget all, say
                `where=m3kit.All()`.

        Raises:
            ValueError: If neither is given, which to LangChain means all, or both, or `{}`.
        """
        given = without_filter(kwargs)
        check_known(given, ("where",), "further arguments of delete")
        where: Where | None = given.get("where")
        if (ids is None) == (where is None) or where == {}:
            raise ValueError("delete takes ids or where; to delete all, say where=m3kit.All()")
        if where is not None:
            self.index.delete_where(to_filter(where))
        elif ids is not None:
            check_listed(ids, "ids")
            self.index.delete(ids)
        self.index.flush()
        return True

    # Reading --------------------------------------------------------------------------------------

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """Return the documents of these ids in that order, unknown ones left out."""
        check_listed(ids, "ids")
        return [to_langchain(record.document) for record in self.index.get(ids)]

    def similarity_search(self, query: str, k: int = 4, **kwargs: Any) -> list[Document]:
        """Return the `k` documents that answer best; options as the class says."""
        return [document for document, _ in self.similarity_search_with_score(query, k, **kwargs)]

    def similarity_search_with_score(
        self, query: str, k: int = 4, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """Return documents with their scores; higher is better."""
        return _scored(self._search(query, k, self._options.updated(kwargs)))

    def similarity_search_by_vector(
        self, embedding: Sequence[float], k: int = 4, **kwargs: Any
    ) -> list[Document]:
        """Return the documents whose dense vectors are nearest; `reps` has no say here."""
        dense = unit(embedding)
        hits = self._answers(M3Output(dense=dense), k, self._by_vector(kwargs))
        return [document for document, _ in _scored(hits)]

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

        The query is encoded once: by all representations for the candidates, by its dense vector
        for their choice (Carbonell and Goldstein, SIGIR 1998).

        Args:
            query: What is asked.
            k: How many documents are wanted.
            fetch_k: How many candidates they are chosen from; never below `k`.
            lambda_mult: From 0, all for difference, to 1, all for relevance.
            kwargs: Options, as the class says.
        """
        options = self._options.updated(kwargs)
        reps = options.among(self.index.reps)
        (output,) = self.encoder.encode_queries([query], tuple({*reps, "dense"}))
        hits = self._answers(output.only(*reps), max(k, fetch_k), options)
        return self._diverse(require(output.dense, "dense"), hits, k, lambda_mult)

    def max_marginal_relevance_search_by_vector(
        self,
        embedding: Sequence[float],
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        **kwargs: Any,
    ) -> list[Document]:
        """Choose as `max_marginal_relevance_search` does, among what is nearest to a vector."""
        dense = unit(embedding)
        options = self._by_vector(kwargs)
        hits = self._answers(M3Output(dense=dense), max(k, fetch_k), options)
        return self._diverse(dense, hits, k, lambda_mult)

    def _similarity_search_with_relevance_scores(
        self, query: str, k: int = 4, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """Score from 0 to 1: what LangChain's `score_threshold` is held against."""
        options = self._options.updated(kwargs)
        best = _best(options.among(self.index.reps), options.fusion)
        found = _scored(self._search(query, k, options))
        return [(document, min(max(score / best, 0.0), 1.0)) for document, score in found]

    async def _asimilarity_search_with_relevance_scores(
        self, query: str, k: int = 4, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """Do the same in a thread: LangChain's own asks for a function of the score alone."""
        return await run_in_executor(
            None, self._similarity_search_with_relevance_scores, query, k, **kwargs
        )

    def _search(self, query: str, k: int, options: Options) -> list[Hit]:
        (output,) = self.encoder.encode_queries([query], options.among(self.index.reps))
        return self._answers(output, k, options)

    def _answers(self, query: M3Output, k: int, options: Options) -> list[Hit]:
        return self.index.search(
            Search(
                query=query,
                k=k,
                where=None if options.where is None else to_filter(options.where),
                fusion=options.fusion,
                candidates=options.candidates,
                min_score=options.min_score,
            )
        )

    def _by_vector(self, given: dict[str, Any]) -> Options:
        if "reps" in given:
            raise TypeError("a vector is searched as a dense one; reps is for texts")
        return self._options.updated(given)

    def _diverse(
        self, query: Floats, hits: Sequence[Hit], k: int, lambda_mult: float
    ) -> list[Document]:
        if not 0 <= lambda_mult <= 1:
            raise ValueError(f"lambda_mult is from 0 to 1, not {lambda_mult}")
        if k < 1:
            raise ValueError(f"k is at least 1, not {k}")
        records = self.index.get([hit.document.id for hit in hits], ["dense"])
        vectors = [require(record.output.dense, "dense").tolist() for record in records]
        chosen = maximal_marginal_relevance(query, vectors, lambda_mult, k)
        return [to_langchain(records[place].document) for place in chosen]


def _best(reps: Collection[Rep], fusion: Fusion) -> float:
    """
    Return the best score there is.

    Of RRF over two branches it is the first place in both. All others are on a scale where 1 is the
    vector itself, apart from lexical weights, which may add up to more and count as 1 then.
    """
    if isinstance(fusion, RRF) and frozenset(reps) == {"dense", "sparse"}:
        return 2 / (fusion.k + 1)
    return 1.0


def _scored(hits: Iterable[Hit]) -> list[tuple[Document, float]]:
    return [(to_langchain(hit.document), hit.score) for hit in hits]


def _with(items: Iterable[Any], others: Iterable[Any] | None, default: Any) -> Iterator[Any]:
    if others is None:
        return ((item, default) for item in items)
    return zip(items, others, strict=True)


def _check_as_many(items: object, others: object, what: str) -> None:
    if isinstance(items, Sized) and isinstance(others, Sized) and len(items) != len(others):
        raise ValueError(f"{len(others)} {what} for {len(items)} documents; give one each")
