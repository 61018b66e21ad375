"""Dense vectors for LangChain, and LangChain's dense vectors for m3kit."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from typing import Any, cast

from langchain_core.embeddings import Embeddings

from m3kit._batching import batched
from m3kit.encoder import Encoder
from m3kit.frameworks import connect, unit
from m3kit.index import RepresentationError
from m3kit.scoring import require
from m3kit.vectors import M3Output, Rep
from m3kit_langchain.hugging_face import encode_options, model_options
from m3kit_langchain.options import check_is_list

_MODEL = "BAAI/bge-m3"


class M3Embeddings(Embeddings):
    """
    M3's dense vectors, a replacement for `HuggingFaceEmbeddings` and `HuggingFaceBgeEmbeddings`.

    The vectors are unit vectors of Python floats. Every argument of those classes is taken, or
    refused with the reason. If an `m3kit.CachedEncoder` is shared with others, each text is encoded
    once for all of them.

    Args:
        encoder: The model. By default `model_name` is loaded, which needs m3kit's extra `torch`.
        url: A server that has the model, in its place: `m3kit serve`, or another that
            `m3kit.remote.RemoteEncoder` reads, which needs m3kit's extra `remote`.
        api_key: What the server wants to be shown.
        model_name: A folder, a name on the Hugging Face hub, or `"tiny"`; by default
            `"BAAI/bge-m3"`.
        model: The same, as `HuggingFaceEmbeddings` spells it, too.
        cache_folder: Where downloads are stored, by default the hub's cache.
        model_kwargs: Options of `m3kit.torch.TorchEncoder.from_pretrained`: `device`, `devices`,
            `precision`, `pooling`, `revision`, `cache_dir`, `query_max_length`,
            `document_max_length`, `batch_tokens`.
        encode_kwargs: `batch_size`, how many texts are encoded at once, `prompt`, a prefix of every
            document, and `normalize_embeddings`, which is True.
        query_encode_kwargs: The same for queries, each of which is encoded by itself.
        multi_process: False; for several devices, give `model_kwargs={"devices": […]}`.
        query_instruction: A prefix of every query, by default the model's.
        embed_instruction: A prefix of every document.
        show_progress: Whether to show a bar while encoding and downloading.

    Raises:
        TypeError: If an argument has no counterpart, with the reason, or an option of loading a
            model is given besides an encoder.
        ValueError: If vectors are not to be normalised, or `batch_size` is below 1.
        CheckpointError: If there is no such model.
        RemoteError: If no server answers.
    """

    def __init__(
        self,
        *,
        encoder: Encoder | None = None,
        url: str | None = None,
        api_key: str | None = None,
        model_name: str | None = None,
        model: str | None = None,
        cache_folder: str | None = None,
        model_kwargs: Mapping[str, Any] | None = None,
        encode_kwargs: Mapping[str, Any] | None = None,
        query_encode_kwargs: Mapping[str, Any] | None = None,
        query_instruction: str | None = None,
        embed_instruction: str | None = None,
        show_progress: bool = False,
        multi_process: bool = False,
    ) -> None:
        if multi_process:
            raise TypeError("multi_process: give model_kwargs={'devices': […]} in its place")
        if model is not None and model_name is not None:
            raise TypeError("model and model_name are two names of one argument; give one of them")
        of_documents = encode_options(encode_kwargs, "encode_kwargs")
        of_queries = encode_options(query_encode_kwargs, "query_encode_kwargs")
        self._batch_size: int | None = of_documents.pop("batch_size", None)
        instructions = {
            "query_instruction": query_instruction or of_queries.get("prompt", query_instruction),
            "document_instruction": embed_instruction
            or of_documents.get("prompt", embed_instruction),
        }
        name = model if model_name is None else model_name
        options = {
            "model_name": name,
            "cache_folder": cache_folder,
            "model_kwargs": model_kwargs,
            **instructions,
            "show_progress": show_progress or None,
        }
        given = [name for name, value in {**options, "url": url}.items() if value is not None]
        if encoder is not None and given:
            raise TypeError(
                f"{', '.join(given)} would load a model, and an encoder is given; give one of them"
            )
        if api_key is not None and url is None:
            raise TypeError("api_key is shown to a server; give url= with it")
        if url is not None:
            encoder = connect(url, api_key, options)
        elif encoder is None:
            encoder = _load(
                name or _MODEL,
                model_kwargs,
                cache_folder,
                instructions,
                show_progress=show_progress,
            )
        self.encoder = encoder
        self._model_name = name

    @property
    def model_name(self) -> str:
        """The name by which the model was loaded, or else that of the encoder."""
        name, _, fingerprint = (self.encoder.model or "").rpartition("@")
        return self._model_name or name or fingerprint

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
        model: Its name, which an index records; by default that of its class and of its model, or
            of the embeddings that it wraps. None, where no model is known, is not compared.
    """

    reps: frozenset[Rep] = frozenset({"dense"})

    def __init__(self, embeddings: Embeddings, *, model: str | None = None) -> None:
        self.embeddings = embeddings
        self.model: str | None = _name(embeddings) if model is None else model

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
                f"{self.model or type(self.embeddings).__name__} makes dense vectors alone, and no "
                f"{', '.join(sorted(missing))}"
            )


def to_encoder(embedding: Embeddings | Encoder) -> Encoder:
    """
    Return the encoder behind `M3Embeddings`, or wrap any other `Embeddings` in one.

    Where a `CacheBackedEmbeddings` holds `M3Embeddings`, all of M3's representations are used, and
    its cache, which holds dense vectors alone, is not.
    """
    inner = getattr(embedding, "underlying_embeddings", None)  # of a cache: the same vectors
    if isinstance(inner, Embeddings):
        encoder = to_encoder(inner)
        if not isinstance(encoder, EmbeddingsEncoder):
            return encoder
    if isinstance(embedding, M3Embeddings):
        return embedding.encoder
    return EmbeddingsEncoder(embedding) if isinstance(embedding, Embeddings) else embedding


def _floats(output: M3Output) -> list[float]:
    return cast("list[float]", require(output.dense, "dense").tolist())


def _load(
    model_name: str,
    model_kwargs: Mapping[str, Any] | None,
    cache_folder: str | None,
    instructions: Mapping[str, Any],
    *,
    show_progress: bool,
) -> Encoder:
    from m3kit.torch import TorchEncoder  # takes seconds, and an encoder does not need it

    options = model_options(model_kwargs)
    if cache_folder is not None:
        options["cache_dir"] = cache_folder
    return TorchEncoder.from_pretrained(
        model_name, **instructions, progress=show_progress, **options
    )


_NAMES = ("model", "model_name", "model_id", "repo_id", "deployment", "deployment_name")


def _name(embeddings: Embeddings) -> str | None:
    """Name embeddings by their class and their model; None where the model is not known."""
    if isinstance(embeddings, M3Embeddings):
        return embeddings.encoder.model
    names = (getattr(embeddings, attribute, None) for attribute in _NAMES)
    model = next((name for name in names if isinstance(name, str) and name), None)
    if model is not None:
        return f"{type(embeddings).__name__}:{model}"
    wrapped = _wrapped(embeddings)
    return None if wrapped is None else _name(wrapped)


def _wrapped(embeddings: Embeddings) -> Embeddings | None:
    """Return the embeddings that a wrapper holds, if it holds exactly one."""
    attributes = getattr(embeddings, "__dict__", {}).values()
    wrapped = [value for value in attributes if isinstance(value, Embeddings)]
    return wrapped[0] if len(wrapped) == 1 else None
