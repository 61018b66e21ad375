"""Dense vectors for LangChain, and LangChain's dense vectors for m3kit."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from typing import Any, cast

import numpy as np
from langchain_core.embeddings import Embeddings

from m3kit._batching import batched
from m3kit.encoder import Encoder
from m3kit.index import RepresentationError
from m3kit.scoring import require
from m3kit.vectors import Floats, M3Output, Rep
from m3kit_langchain.options import check_is_list, check_known

_MODEL = "BAAI/bge-m3"
_MODEL_KWARGS = (
    "device",
    "devices",
    "precision",
    "pooling",
    "revision",
    "cache_dir",
    "query_max_length",
    "document_max_length",
    "batch_tokens",
)
_ENCODE_KWARGS = ("batch_size", "normalize_embeddings")


class M3Embeddings(Embeddings):
    """
    M3's dense vectors, a replacement for `HuggingFaceBgeEmbeddings`: unit vectors of Python floats.

    If an `m3kit.CachedEncoder` is shared with others, each text is encoded once for all of them.

    Args:
        encoder: The model. By default `model_name` is loaded, which needs m3kit's extra `torch`.
        model_name: A folder, a name on the Hugging Face hub, or `"tiny"`; by default
            `"BAAI/bge-m3"`.
        cache_folder: Where downloads are stored, by default the hub's cache.
        model_kwargs: Options of `m3kit.torch.TorchEncoder.from_pretrained`: `device`, `devices`,
            `precision`, `pooling`, `revision`, `cache_dir`, `query_max_length`,
            `document_max_length`, `batch_tokens`.
        encode_kwargs: `batch_size`, how many texts are encoded at once, and
            `normalize_embeddings`, which is True.
        query_instruction: A prefix of every query, by default the model's.
        embed_instruction: A prefix of every document.
        show_progress: Whether to show a bar while encoding and downloading.

    Raises:
        TypeError: If `model_kwargs` or `encode_kwargs` has an unknown key, or an option of loading
            a model is given besides an encoder.
        CheckpointError: If there is no such model.
    """

    def __init__(
        self,
        *,
        encoder: Encoder | None = None,
        model_name: str | None = None,
        cache_folder: str | None = None,
        model_kwargs: Mapping[str, Any] | None = None,
        encode_kwargs: Mapping[str, Any] | None = None,
        query_instruction: str | None = None,
        embed_instruction: str | None = None,
        show_progress: bool = False,
    ) -> None:
        self._batch_size = _batch_size(encode_kwargs or {})
        options = {
            "model_name": model_name,
            "cache_folder": cache_folder,
            "model_kwargs": model_kwargs,
            "query_instruction": query_instruction,
            "embed_instruction": embed_instruction,
            "show_progress": show_progress or None,
        }
        given: dict[str, Any] = {
            name: value for name, value in options.items() if value is not None
        }
        if encoder is not None and given:
            raise TypeError(
                f"{', '.join(given)} would load a model, and an encoder is given; give one of them"
            )
        self.encoder = _load(**given) if encoder is None else encoder

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embed texts to be searched."""
        check_is_list(texts, "texts")
        batches = batched(texts, self._batch_size) if self._batch_size else [texts]
        return [
            _floats(output)
            for batch in batches
            for output in self.encoder.encode_documents(batch, ["dense"])
        ]

    def embed_query(self, text: str) -> list[float]:
        """Embed a query."""
        (output,) = self.encoder.encode_queries([text], ["dense"])
        return _floats(output)


class EmbeddingsEncoder:
    """
    Any LangChain `Embeddings` as an `m3kit.Encoder`: dense vectors alone, normalised.

    Args:
        embeddings: The model.
        model: Its name, which an index records; by default that of its class and of its model.
    """

    reps: frozenset[Rep] = frozenset({"dense"})

    def __init__(self, embeddings: Embeddings, *, model: str | None = None) -> None:
        self.embeddings = embeddings
        self.model = _name(embeddings) if model is None else model

    @cached_property
    def dim(self) -> int:
        """The width of the vectors, measured by embedding a word on first use."""
        return len(self.embeddings.embed_query("width"))

    def encode_queries(
        self, texts: Sequence[str], reps: Collection[Rep] | None = None
    ) -> list[M3Output]:
        """Encode queries, with a call for each: `Embeddings` has no batch call for them."""
        self._check(reps)
        return [M3Output(dense=unit(self.embeddings.embed_query(text))) for text in texts]

    def encode_documents(
        self, texts: Sequence[str], reps: Collection[Rep] | None = None
    ) -> list[M3Output]:
        """Encode texts to be searched."""
        self._check(reps)
        return [
            M3Output(dense=unit(vector)) for vector in self.embeddings.embed_documents(list(texts))
        ]

    def _check(self, reps: Collection[Rep] | None) -> None:
        if missing := set(reps or ()) - self.reps:
            raise RepresentationError(
                f"{self.model} makes dense vectors alone, and no {', '.join(sorted(missing))}"
            )


def to_encoder(embedding: Embeddings | Encoder) -> Encoder:
    """Return the encoder behind `M3Embeddings`, or wrap any other `Embeddings` in one."""
    if isinstance(embedding, M3Embeddings):
        return embedding.encoder
    return EmbeddingsEncoder(embedding) if isinstance(embedding, Embeddings) else embedding


def unit(vector: Sequence[float]) -> Floats:
    """Normalise a vector; one of zeros stays."""
    array = np.asarray(vector, dtype=np.float64)
    return cast(Floats, (array / (np.linalg.norm(array) or 1.0)).astype(np.float32))


def _floats(output: M3Output) -> list[float]:
    return cast("list[float]", require(output.dense, "dense").tolist())


def _batch_size(encode_kwargs: Mapping[str, Any]) -> int | None:
    check_known(encode_kwargs, _ENCODE_KWARGS, "encode_kwargs")
    if not encode_kwargs.get("normalize_embeddings", True):
        raise ValueError("the dense vectors are unit vectors; leave normalize_embeddings True")
    size = encode_kwargs.get("batch_size")
    if size is not None and size < 1:
        raise ValueError(f"batch_size is at least 1, not {size}")
    return cast("int | None", size)


def _load(
    *,
    model_name: str = _MODEL,
    cache_folder: str | None = None,
    model_kwargs: Mapping[str, Any] | None = None,
    query_instruction: str | None = None,
    embed_instruction: str | None = None,
    show_progress: bool = False,
) -> Encoder:
    from m3kit.torch import TorchEncoder  # takes seconds, and an encoder does not need it

    options = dict(model_kwargs or {})
    check_known(options, _MODEL_KWARGS, "model_kwargs")
    if cache_folder is not None:
        options["cache_dir"] = cache_folder
    return TorchEncoder.from_pretrained(
        model_name,
        query_instruction=query_instruction,
        document_instruction=embed_instruction,
        progress=show_progress,
        **options,
    )


def _name(embeddings: Embeddings) -> str:
    """Name embeddings by their class and, where it is known, their model."""
    models = (getattr(embeddings, attribute, None) for attribute in ("model", "model_name"))
    return ":".join(
        [type(embeddings).__name__, *(name for name in models if isinstance(name, str))][:2]
    )
