"""A LangChain document compressor over any function that scores texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_core.callbacks import Callbacks
from langchain_core.documents import BaseDocumentCompressor, Document
from pydantic import ConfigDict, Field, SkipValidation, model_validator

from m3kit.frameworks import checked_reranker, load_reranker
from m3kit.retriever import Reranker, reranked_scores


class M3Reranker(BaseDocumentCompressor):
    """
    Orders documents by the scores of a reranker; documents with equal scores stay in order.

        ContextualCompressionRetriever(
            base_compressor=M3Reranker(model_name="BAAI/bge-reranker-v2-m3", top_n=4),
            base_retriever=store.as_retriever(search_kwargs={"k": 50}),
        )

    Args:
        reranker: `(query, texts) -> scores`, one for each text, higher is better.
        model_name: In place of it: a folder or a name on the Hugging Face hub, from which
            `m3kit.torch.CrossEncoder` is loaded.
        model_kwargs: Options of `CrossEncoder.from_pretrained`, such as `device`.
        top_n: How many documents are returned, by default all.
        min_score: Documents below this score are left out.
        score_key: The metadata key under which documents have their score, as `"relevance_score"`;
            by default they have none.

    Raises:
        TypeError: If the reranker cannot be called, or none or two are given.
        ValidationError: Pydantic's, a ValueError: if there is no such model, or `top_n` is below 1.
    """

    model_config = ConfigDict(
        arbitrary_types_allowed=True,
        extra="forbid",
        validate_assignment=True,
        protected_namespaces=(),
    )

    reranker: SkipValidation[Reranker | None] = None
    model_name: str | None = Field(default=None, frozen=True)
    model_kwargs: dict[str, Any] = Field(default_factory=dict, frozen=True)
    top_n: int | None = Field(default=None, ge=1)
    min_score: float | None = None
    score_key: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _load(cls, values: Any) -> Any:
        if not isinstance(values, dict) or values.keys() - cls.model_fields:
            return values
        reranker, name = values.get("reranker"), values.get("model_name")
        return {
            **values,
            "reranker": load_reranker(reranker, name, values.get("model_kwargs") or {}),
        }

    def compress_documents(
        self,
        documents: Sequence[Document],
        query: str,
        callbacks: Callbacks | None = None,  # noqa: ARG002  # the base's signature
    ) -> list[Document]:
        """
        Return the same documents, best first.

        Raises:
            ValueError: If the reranker does not give a number for each text.
        """
        texts = [document.page_content for document in documents]
        scores = reranked_scores(checked_reranker(self.reranker), query, texts)
        pairs = sorted(zip(documents, scores, strict=True), key=lambda pair: -pair[1])
        least = self.min_score
        best = [pair for pair in pairs if least is None or pair[1] >= least]
        return [_scored(*pair, self.score_key) for pair in best[: self.top_n]]


def _scored(document: Document, score: float, score_key: str | None) -> Document:
    if score_key is None:
        return document
    return document.model_copy(update={"metadata": {**document.metadata, score_key: score}})
