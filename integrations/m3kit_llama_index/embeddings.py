"""M3's dense and sparse vectors as LlamaIndex's two kinds of embedding."""

from __future__ import annotations

from asyncio import to_thread
from collections.abc import Sequence
from typing import Any

from llama_index.core.base.embeddings.base import BaseEmbedding, Embedding
from llama_index.core.base.embeddings.base_sparse import BaseSparseEmbedding, SparseEmbedding
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.callbacks import CallbackManager

from m3kit.encoder import Encoder
from m3kit.index import check_reps
from m3kit.scoring import require
from m3kit.vectors import M3Output


class M3Embedding(BaseEmbedding):
    """
    The dense vector of an encoder.

    Args:
        encoder: A `CachedEncoder` shared with `M3VectorStore` encodes each node once.
        embed_batch_size: How many texts LlamaIndex passes at once, at most 2048.
        callback_manager: Notified of each batch.

    Raises:
        RepresentationError: If the encoder makes no dense vectors.
    """

    _encoder: Encoder = PrivateAttr()

    def __init__(
        self,
        encoder: Encoder,
        *,
        embed_batch_size: int = 128,
        callback_manager: CallbackManager | None = None,
    ) -> None:
        check_reps(["dense"], available=encoder.reps)
        super().__init__(
            model_name=encoder.model,
            embed_batch_size=embed_batch_size,
            callback_manager=callback_manager or CallbackManager([]),
        )
        self._encoder = encoder

    @classmethod
    def class_name(cls) -> str:
        """Name the class in LlamaIndex's records."""
        return "M3Embedding"

    def __getstate__(self) -> dict[str, Any]:
        """Refuse to pickle: LlamaIndex would silently drop an encoder that cannot be pickled."""
        state: dict[str, Any] = super().__getstate__()
        if "_encoder" not in state["__pydantic_private__"]:
            raise TypeError(
                f"the encoder of {self.model_name} cannot be sent to another process; run the "
                "IngestionPipeline without num_workers"
            )
        return state

    def _get_query_embedding(self, query: str) -> Embedding:
        (output,) = self._encoder.encode_queries([query], ["dense"])
        return _dense(output)

    def _get_text_embeddings(self, texts: Sequence[str]) -> list[Embedding]:
        return [_dense(output) for output in self._encoder.encode_documents(texts, ["dense"])]

    def _get_text_embedding(self, text: str) -> Embedding:
        return self._get_text_embeddings([text])[0]

    async def _aget_query_embedding(self, query: str) -> Embedding:
        return await to_thread(self._get_query_embedding, query)

    async def _aget_text_embedding(self, text: str) -> Embedding:
        return await to_thread(self._get_text_embedding, text)

    async def _aget_text_embeddings(self, texts: Sequence[str]) -> list[Embedding]:
        return await to_thread(self._get_text_embeddings, texts)


class M3SparseEmbedding(BaseSparseEmbedding):
    """
    The lexical weights of an encoder, `{token id: weight}`.

    Args:
        encoder: May be shared with `M3Embedding` and `M3VectorStore`.
        embed_batch_size: How many texts LlamaIndex passes at once, at most 2048.

    Raises:
        RepresentationError: If the encoder makes no sparse vectors.
    """

    _encoder: Encoder = PrivateAttr()

    def __init__(self, encoder: Encoder, *, embed_batch_size: int = 128) -> None:
        check_reps(["sparse"], available=encoder.reps)
        super().__init__(model_name=encoder.model, embed_batch_size=embed_batch_size)
        self._encoder = encoder

    @classmethod
    def class_name(cls) -> str:
        """Name the class in LlamaIndex's records."""
        return "M3SparseEmbedding"

    def similarity(self, embedding1: SparseEmbedding, embedding2: SparseEmbedding) -> float:
        """Return M3's sparse score (a dot product); the base class would compute a cosine."""
        shared = embedding1.keys() & embedding2.keys()
        return sum(embedding1[token] * embedding2[token] for token in sorted(shared))

    def _get_query_embedding(self, query: str) -> SparseEmbedding:
        (output,) = self._encoder.encode_queries([query], ["sparse"])
        return _sparse(output)

    def _get_text_embeddings(self, texts: Sequence[str]) -> list[SparseEmbedding]:
        return [_sparse(output) for output in self._encoder.encode_documents(texts, ["sparse"])]

    def _get_text_embedding(self, text: str) -> SparseEmbedding:
        return self._get_text_embeddings([text])[0]

    async def _aget_query_embedding(self, query: str) -> SparseEmbedding:
        return await to_thread(self._get_query_embedding, query)

    async def _aget_text_embedding(self, text: str) -> SparseEmbedding:
        return await to_thread(self._get_text_embedding, text)

    async def _aget_text_embeddings(self, texts: Sequence[str]) -> list[SparseEmbedding]:
        return await to_thread(self._get_text_embeddings, texts)


def _dense(output: M3Output) -> Embedding:
    vector: Embedding = require(output.dense, "dense").tolist()
    return vector


def _sparse(output: M3Output) -> SparseEmbedding:
    return require(output.sparse, "sparse").to_dict()
