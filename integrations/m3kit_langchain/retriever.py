"""A LangChain retriever over an encoder, an index and, optionally, a reranker."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from langchain_core.callbacks import (
    AsyncCallbackManagerForRetrieverRun,
    CallbackManagerForRetrieverRun,
)
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables.config import run_in_executor
from pydantic import ConfigDict, SkipValidation

from m3kit.encoder import Encoder
from m3kit.filters import Field
from m3kit.fusion import Fusion, WeightedSum
from m3kit.index import HybridIndex
from m3kit.retriever import Reranker, Retriever
from m3kit.vectors import Rep
from m3kit_langchain.documents import to_scored
from m3kit_langchain.embeddings import to_encoder
from m3kit_langchain.filters import Where, to_filter
from m3kit_langchain.options import Options


class M3Retriever(BaseRetriever):
    """
    Finds documents by a text, which is encoded once for all representations.

    `invoke(text, k=…)` takes every option by keyword, for that call alone. Every field can be set
    later, and holds from the next call on.

    Args:
        encoder: An `m3kit.Encoder`, or any LangChain `Embeddings`.
        index: Where the documents live.
        reranker: `(query, texts) -> scores`; orders the `candidates` best.
        k: How many documents are wanted; with `group_by`, of how many groups.
        where: A filter of m3kit, or a dict (see `to_filter`).
        reps: Which representations take part; by default all that the index holds.
        fusion: How they become one ranking.
        candidates: How many candidates each branch brings, and how many are rescored.
        min_score: Documents below this score are left out.
        group_by: A field of the metadata, or the path to it: of the documents with the same value
            in it, only the best are returned; see `m3kit.Search`.
        group_size: How many documents of a group are wanted.
        score_key: The metadata key under which documents have their score, and with an `s` behind
            it, `{"dense": …, "sparse": …}`; by default they have none.

    Raises:
        ValidationError: Pydantic's, a ValueError: if an argument is unknown, the encoder cannot
            make what the index holds, or the index was made by another model.
    """

    model_config = ConfigDict(
        arbitrary_types_allowed=True, extra="forbid", validate_assignment=True
    )

    encoder: SkipValidation[Encoder | Embeddings]
    index: SkipValidation[HybridIndex]
    reranker: SkipValidation[Reranker | None] = None
    k: int = 4
    where: SkipValidation[Where | None] = None
    reps: SkipValidation[Collection[Rep] | None] = None
    fusion: SkipValidation[Fusion] = WeightedSum()
    candidates: int = 100
    min_score: float | None = None
    group_by: SkipValidation[Field | None] = None
    group_size: int = 1
    score_key: str | None = None

    def model_post_init(self, context: Any, /) -> None:
        """Check that encoder and index belong together."""
        super().model_post_init(context)
        self._retriever()

    def _retriever(self) -> Retriever:
        return Retriever(to_encoder(self.encoder), self.index, reranker=self.reranker)

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,  # noqa: ARG002  # the base's signature
        k: int | None = None,
        **kwargs: Any,
    ) -> list[Document]:
        options = Options(
            where=self.where,
            reps=self.reps,
            fusion=self.fusion,
            candidates=self.candidates,
            min_score=self.min_score,
            group_by=self.group_by,
            group_size=self.group_size,
        ).updated(kwargs)
        hits = self._retriever().search(
            query,
            k=self.k if k is None else k,
            where=None if options.where is None else to_filter(options.where),
            reps=options.reps,
            fusion=options.fusion,
            candidates=options.candidates,
            min_score=options.min_score,
            with_scores=self.score_key is not None,
            group_by=options.group_by,
            group_size=options.group_size,
        )
        return [to_scored(hit, self.score_key) for hit in hits]

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, **kwargs: Any
    ) -> list[Document]:
        """Do the same in a thread: LangChain's default does not pass the options on."""
        return await run_in_executor(
            None, self._get_relevant_documents, query, run_manager=run_manager.get_sync(), **kwargs
        )
