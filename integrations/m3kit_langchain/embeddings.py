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
from m3kit_langchain.options import check_known, check_listed

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
    M3's dense vectors, where `HuggingFaceBgeEmbeddings` was: unit vectors of Python floats.

    An `m3kit.CachedEncoder` that is handed in may serve others too, and each text is then encoded
    once for all of them.

    Args:
        encoder: What encodes. By default `model_name` is loaded, which needs m3kit's extra `torch`.
        model_name: A folder, a name on the Hugging Face hub, or `"tiny"`; by default
            `"BAAI/bge-m3"`.
        cache_folder: Where downloads are kept, if not in the hub's usual place.
        model_kwargs: Options of `m3kit.torch.TorchEncoder.from_pretrained`: `device`, `devices`,
            `precision`, `pooling`, `revision`, `cache_dir`, `query_max_length`,
            `document_max_length`, `batch_tokens`.
        encode_kwargs: `batch_size`, how many texts are encoded at once, and
            `normalize_embeddings`, which is True.
        query_instruction: What goes in front of every query; by default what the model asks for.
        embed_instruction: What goes in front of every document.
        show_progress: Whether to show a bar while encoding and downloading.

    Raises:
        TypeError: If a key of `model_kwargs` or `encode_kwargs` is none of these, or an encoder is
            given and with it what only a model that is loaded here can heed.
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
        asked = {
            "model_name": model_name,
            "cache_folder": cache_folder,
            "model_kwargs": model_kwargs,
            "query_instruction": query_instruction,
            "embed_instruction": embed_instruction,
            "show_progress": show_progress or None,
        }
        given: dict[str, Any] = {name: value for name, value in asked.items() if value is not None}
        if encoder is not None and given:
            raise TypeError(
                f"{', '.join(given)} would load a model, and an encoder is given; give one of them"
            )
        self.encoder = _loaded(**given) if encoder is None else encoder

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embed what is searched."""
        check_listed(texts, "texts")
        batches = batched(texts, self._batch_size) if self._batch_size else [texts]
        return [
            _floats(output)
            for batch in batches
            for output in self.encoder.encode_documents(batch, ["dense"])
        ]

    def embed_query(self, text: str) -> list[float]:
        """Embed what is asked."""
        (output,) = self.encoder.encode_queries([text], ["dense"])
        return _floats(output)


class EmbeddingsEncoder:
    """
    Any LangChain `Embeddings` as an `m3kit.Encoder`: dense alone, made unit vectors.

    Args:
        embeddings: What embeds.
        model: Its name, which an index keeps; by default that of its class and of its model.
    """

    reps: frozenset[Rep] = frozenset({"dense"})

    def __init__(self, embeddings: Embeddings, *, model: str | None = None) -> None:
        self.embeddings = embeddings
        self.model = _name(embeddings) if model is None else model

    @cached_property
    def dim(self) -> int:
        """The width, known by embedding one word when it is first asked for."""
        return len(self.embeddings.embed_query("width"))

    def encode_queries(
        self, texts: Sequence[str], reps: Collection[Rep] | None = None
    ) -> list[M3Output]:
        """Encode what people ask, one call each, as `Embeddings` has no other."""
        self._check(reps)
        return [M3Output(dense=unit(self.embeddings.embed_query(text))) for text in texts]

    def encode_documents(
        self, texts: Sequence[str], reps: Collection[Rep] | None = None
    ) -> list[M3Output]:
        """Encode what is searched."""
        self._check(reps)
        return [
            M3Output(dense=unit(vector)) for vector in self.embeddings.embed_documents(list(texts))
        ]

    def _check(self, reps: Collection[Rep] | None) -> None:
        if lacking := set(reps or ()) - self.reps:
            raise RepresentationError(
                f"{self.model} makes dense vectors alone, no {', '.join(lacking)}"
            )


def to_encoder(embedding: Embeddings | Encoder) -> Encoder:
    """Return the encoder behind `M3Embeddings`, or make one of any other `Embeddings`."""
    if isinstance(embedding, M3Embeddings):
        return embedding.encoder
    return EmbeddingsEncoder(embedding) if isinstance(embedding, Embeddings) else embedding


def unit(vector: Sequence[float]) -> Floats:
    """Return the vector at length 1; one of zeros stays."""
    array = np.asarray(vector, dtype=np.float64)
    return cast(Floats, (array / (np.linalg.norm(array) or 1.0)).astype(np.float32))


def _floats(output: M3Output) -> list[float]:
    return cast("list[float]", require(output.dense, "dense").tolist())


def _batch_size(encode_kwargs: Mapping[str, Any]) -> int | None:
    check_known(encode_kwargs, _ENCODE_KWARGS, "encode_kwargs")
    if not encode_kwargs.get("normalize_embeddings", True):
        raise ValueError("the dense vectors are unit vectors; normalize_embeddings is True")
    size = encode_kwargs.get("batch_size")
    if size is not None and size < 1:
        raise ValueError(f"batch_size is at least 1, not {size}")
    return cast("int | None", size)


def _loaded(
    *,
    model_name: str = _MODEL,
    cache_folder: str | None = None,
    model_kwargs: Mapping[str, Any] | None = None,
    query_instruction: str | None = None,
    embed_instruction: str | None = None,
    show_progress: bool = False,
) -> Encoder:
    from m3kit.torch import TorchEncoder  # seconds, which a ready encoder need not wait

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
    """Name embeddings as most of them can be told apart: `"OpenAIEmbeddings:model"`."""
    known = (getattr(embeddings, attribute, None) for attribute in ("model", "model_name"))
    return ":".join(
        [type(embeddings).__name__, *(name for name in known if isinstance(name, str))][:2]
    )
