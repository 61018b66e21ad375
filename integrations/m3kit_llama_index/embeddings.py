"""M3's dense and sparse vectors as LlamaIndex's two kinds of embedding."""

from __future__ import annotations

from asyncio import to_thread
from collections.abc import Callable, Sequence
from typing import Any, Self

from llama_index.core.base.embeddings.base import BaseEmbedding, Embedding
from llama_index.core.base.embeddings.base_sparse import BaseSparseEmbedding, SparseEmbedding
from llama_index.core.bridge.pydantic import BaseModel, Field, PrivateAttr
from llama_index.core.callbacks import CallbackManager

from m3kit.encoder import Encoder
from m3kit.frameworks import connect
from m3kit.index import check_model, check_reps
from m3kit.scoring import require
from m3kit.vectors import M3Output

_MODEL = "BAAI/bge-m3"


class M3Embedding(BaseEmbedding):
    """
    The dense vector of an encoder.

        Settings.embed_model = M3Embedding(model_name="BAAI/bge-m3", device="cuda")

    Over `M3VectorStore`, which encodes nodes and queries itself, use `M3StoreEmbedding`.

    Args:
        encoder: The model. By default `model_name` is loaded, which needs m3kit's extra `torch`.
        model_name: A folder, a name on the Hugging Face hub, or `"tiny"`; by default
            `"BAAI/bge-m3"`. With a fingerprint behind an `@`, as `to_dict` gives it, only those
            weights are accepted.
        device: Where the model is loaded, as PyTorch names it.
        url: A server that has the model, in its place: `m3kit serve`, or another that
            `m3kit.remote.RemoteEncoder` reads, which needs m3kit's extra `remote`.
        api_key: What the server wants to be shown; it is not part of `to_dict`.
        embed_batch_size: How many texts LlamaIndex passes at once, at most 2048.
        callback_manager: Notified of each batch.
        num_workers: How many batches LlamaIndex embeds at once in asynchronous calls.
        embeddings_cache: LlamaIndex's cache of embeddings.
        rate_limiter: LlamaIndex's limit of calls.

    Raises:
        RepresentationError: If the encoder makes no dense vectors.
        CheckpointError: If there is no such model.
        ModelMismatchError: If the model has another fingerprint than `model_name` says.
    """

    model_name: str = Field(default="", frozen=True, description="The name of the model.")
    device: str | None = Field(default=None, frozen=True, description="Where it was loaded.")
    url: str | None = Field(default=None, frozen=True, description="The server that has it.")
    _encoder: Encoder = PrivateAttr()

    def __init__(
        self,
        encoder: Encoder | None = None,
        *,
        model_name: str | None = None,
        device: str | None = None,
        url: str | None = None,
        api_key: str | None = None,
        embed_batch_size: int = 128,
        callback_manager: CallbackManager | None = None,
        num_workers: int | None = None,
        embeddings_cache: Any = None,
        rate_limiter: Any = None,
    ) -> None:
        encoder = _resolve(encoder, model_name, device, url, api_key)
        check_reps(["dense"], available=encoder.reps)
        fields: dict[str, Any] = {
            "model_name": encoder.model or "unknown",
            "device": device,
            "url": url,
            "embed_batch_size": embed_batch_size,
            "callback_manager": callback_manager or CallbackManager([]),
            "num_workers": num_workers,
            "embeddings_cache": embeddings_cache,
            "rate_limiter": rate_limiter,
        }
        super().__init__(**fields)
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

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take the encoder along: LlamaIndex would make the object anew."""
        BaseModel.__setstate__(self, state)

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


class DeferredEmbedding(list[float]):
    """
    Texts in the place of an embedding, for a store that encodes them itself.

    Args:
        texts: Their mean is what is searched for.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        super().__init__([0.0])
        self.texts = list(texts)


class M3StoreEmbedding(BaseEmbedding):
    """
    An embed model that computes nothing, for `M3VectorStore`, which encodes by itself.

    Nodes and queries are then encoded once, at any number of them. Texts that stand for a query, as
    those of LlamaIndex's `HyDEQueryTransform`, reach the store.

        VectorStoreIndex.from_documents(documents, context, embed_model=M3StoreEmbedding())
    """

    model_name: str = Field(default="the store's", frozen=True, description="Only for logs.")

    @classmethod
    def class_name(cls) -> str:
        """Name the class in LlamaIndex's records."""
        return "M3StoreEmbedding"

    def get_agg_embedding_from_queries(
        self, queries: list[str], agg_fn: Callable[..., Embedding] | None = None
    ) -> Embedding:
        """Pass the texts on; how they are combined is the store's matter."""
        if agg_fn is not None:
            raise ValueError("the store takes the mean of the texts; leave agg_fn out")
        return DeferredEmbedding(queries)

    async def aget_agg_embedding_from_queries(
        self, queries: list[str], agg_fn: Callable[..., Embedding] | None = None
    ) -> Embedding:
        """Do the same: nothing is computed."""
        return self.get_agg_embedding_from_queries(queries, agg_fn)

    def _get_query_embedding(self, query: str) -> Embedding:
        return DeferredEmbedding([query])

    async def _aget_query_embedding(self, query: str) -> Embedding:
        return DeferredEmbedding([query])

    def _get_text_embedding(self, text: str) -> Embedding:
        return DeferredEmbedding([text])


class M3SparseEmbedding(BaseSparseEmbedding):
    """
    The lexical weights of an encoder, `{token id: weight}`.

    Args:
        encoder: May be shared with `M3Embedding`. By default `model_name` is loaded.
        model_name: As in `M3Embedding`.
        device: As in `M3Embedding`.
        url: As in `M3Embedding`.
        api_key: As in `M3Embedding`.
        embed_batch_size: How many texts LlamaIndex passes at once, at most 2048.
        num_workers: How many batches LlamaIndex embeds at once in asynchronous calls.

    Raises:
        RepresentationError: If the encoder makes no sparse vectors.
    """

    model_name: str = Field(default="", frozen=True, description="The name of the model.")
    device: str | None = Field(default=None, frozen=True, description="Where it was loaded.")
    url: str | None = Field(default=None, frozen=True, description="The server that has it.")
    _encoder: Encoder = PrivateAttr()

    def __init__(
        self,
        encoder: Encoder | None = None,
        *,
        model_name: str | None = None,
        device: str | None = None,
        url: str | None = None,
        api_key: str | None = None,
        embed_batch_size: int = 128,
        num_workers: int | None = None,
    ) -> None:
        encoder = _resolve(encoder, model_name, device, url, api_key)
        check_reps(["sparse"], available=encoder.reps)
        fields: dict[str, Any] = {
            "model_name": encoder.model or "unknown",
            "device": device,
            "url": url,
            "embed_batch_size": embed_batch_size,
            "num_workers": num_workers,
        }
        super().__init__(**fields)
        self._encoder = encoder

    @classmethod
    def from_dict(cls, data: dict[str, Any], **kwargs: Any) -> Self:
        """Make one of what `model_dump` gave; `encoder=` saves loading the model."""
        options = {**data, **kwargs}
        options.pop("class_name", None)
        return cls(**options)

    def sparse_doc_fn(self, texts: Sequence[str]) -> tuple[list[list[int]], list[list[float]]]:
        """
        Encode texts as LlamaIndex's `QdrantVectorStore` wants it.

            QdrantVectorStore(
                "papers", client=client, enable_hybrid=True,
                sparse_doc_fn=sparse.sparse_doc_fn, sparse_query_fn=sparse.sparse_query_fn,
            )

        Returns:
            The token ids of each text, and their weights.
        """
        return _batch(self._encoder.encode_documents(texts, ["sparse"]))

    def sparse_query_fn(self, texts: Sequence[str]) -> tuple[list[list[int]], list[list[float]]]:
        """Encode queries as `sparse_doc_fn` does texts."""
        return _batch(self._encoder.encode_queries(texts, ["sparse"]))

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


def _batch(outputs: Sequence[M3Output]) -> tuple[list[list[int]], list[list[float]]]:
    sparse = [require(output.sparse, "sparse") for output in outputs]
    return [weights.ids.tolist() for weights in sparse], [
        weights.weights.tolist() for weights in sparse
    ]


def _resolve(
    encoder: Encoder | None,
    model_name: str | None,
    device: str | None,
    url: str | None,
    api_key: str | None,
) -> Encoder:
    """Return an encoder, loaded or connected to if none is given, and check it against the name."""
    name, _, fingerprint = (model_name or _MODEL).rpartition("@")
    if api_key is not None and url is None:
        raise TypeError("api_key is shown to a server; give url= with it")
    if url is not None:
        if encoder is not None:
            raise TypeError("url names a server's encoder, and an encoder is given; give one")
        encoder = connect(url, api_key, {"device": device})
        check_model(model_name, encoder.model, f"what {url} serves")
    elif encoder is None:
        from m3kit.torch import TorchEncoder  # takes seconds, and an encoder does not need it

        encoder = TorchEncoder.from_pretrained(name or fingerprint, device=device)
        if name:
            check_model(model_name, encoder.model, "what is loaded here")
    elif device is not None:
        raise TypeError("device would load a model, and an encoder is given; give one of them")
    elif model_name is not None:
        check_model(model_name, encoder.model, "what is loaded here")
    return encoder
