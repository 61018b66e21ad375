"""A LangChain document compressor over any function that scores texts."""

from __future__ import annotations

from collections.abc import Sequence

from langchain_core.callbacks import Callbacks
from langchain_core.documents import BaseDocumentCompressor, Document
from pydantic import ConfigDict, Field, SkipValidation

from m3kit.retriever import Reranker, reranked_scores


class M3Reranker(BaseDocumentCompressor):
    """
    Orders documents by the scores of a reranker; documents with equal scores stay in order.

    Args:
        reranker: `(query, texts) -> scores`, one for each text, higher is better.
        top_n: How many documents are returned, by default all.
        min_score: Documents below this score are left out.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    reranker: SkipValidation[Reranker]
    top_n: int | None = Field(default=None, ge=1)
    min_score: float | None = None

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
        scores = reranked_scores(self.reranker, query, texts)
        pairs = sorted(zip(documents, scores, strict=True), key=lambda pair: -pair[1])
        least = self.min_score
        best = [document for document, score in pairs if least is None or score >= least]
        return best[: self.top_n]
