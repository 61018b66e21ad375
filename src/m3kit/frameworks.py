"""What the integrations of RAG frameworks share: their metadata, fields, scores and rerankers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, time
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any, Self
from uuid import UUID

import numpy as np

from m3kit.encoder import Encoder
from m3kit.filters import Field, Filter, Or
from m3kit.fusion import Fusion, WeightedSum
from m3kit.index import ChecksDocuments, DocumentError, HybridIndex
from m3kit.records import Document, Hit
from m3kit.retriever import Reranker
from m3kit.scoring import require
from m3kit.vectors import REPS, Floats, M3Output, Rep, Sparse


def to_json(value: Any) -> Any:
    """
    Turn a value of metadata into JSON, as the frameworks' other stores do.

    Dates and times become ISO 8601; UUIDs, paths and decimals text; members of an enum their value;
    tuples, sets and arrays lists, sets in order; NumPy's scalars Python's. Other values are
    returned as they are.
    """
    match value:
        case Enum():
            return to_json(value.value)
        case np.datetime64():
            return str(value)
        case np.generic() | np.ndarray():
            return to_json(value.tolist())
        case date() | time():  # a datetime is a date
            return value.isoformat()
        case UUID() | PurePath() | Decimal():
            return str(value)
        case list() | tuple():
            return [to_json(item) for item in value]
        case set() | frozenset():
            return sorted(map(to_json, value), key=lambda item: (str(type(item)), item))
        case Mapping():
            return {key: to_json(item) for key, item in value.items()}
        case _:
            return value


def to_document(id_: str, text: str, metadata: Mapping[str, Any], position: int) -> Document:
    """
    Make a document of a framework's, whose metadata is turned into JSON.

    Raises:
        TypeError, ValueError: As `Document` says, naming the position and the id of the document,
            and the metadata key.
    """
    converted: dict[str, Any] = {}
    try:
        for key, value in metadata.items():
            where = f", metadata key {key!r}"
            converted[key] = Document("id", "", {key: to_json(value)}).metadata[key]
        where = ""
        return Document(id_, text, converted)
    except (TypeError, ValueError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"document {position} ({id_!r}){where}: {error}") from error


def check_documents(index: HybridIndex, documents: Sequence[Document]) -> None:
    """
    Check that an index can hold documents, before any of them is encoded.

    Raises:
        DocumentError: If it cannot hold one of them, naming its position and its id.
    """
    if not isinstance(index, ChecksDocuments):
        return
    for position, document in enumerate(documents):
        try:
            index.check_document(document)
        except DocumentError as error:
            raise DocumentError(f"document {position} ({document.id!r:.100}): {error}") from error


def in_any(fields: Iterable[Field], make: Callable[[Field], Filter]) -> Filter:
    """Make a filter for each field that a name may mean; one of them has to match."""
    filters = tuple(make(field) for field in dict.fromkeys(fields))
    return filters[0] if len(filters) == 1 else Or(filters)


def dotted(name: str) -> list[Field]:
    """Return the fields that a name may mean: the key itself and, split at dots, a path."""
    parts = tuple(name.split(".")) if isinstance(name, str) else ()
    return [name, parts] if len(parts) > 1 and all(parts) else [name]


def relevance(hit: Hit, fusion: Fusion) -> float:
    """
    Return how well a hit answers, from 0 to 1, whatever fusion ranked it.

    That is the weighted sum of its scores, with M3's weights where the fusion has none.

    Args:
        hit: For `RRF`, with its `scores`; see `Search.with_scores`.
        fusion: How the search ranked.
    """
    if isinstance(fusion, WeightedSum):
        return _clipped(hit.score)
    return _clipped(WeightedSum().score(hit.scores))


def _clipped(score: float) -> float:
    return min(max(score, 0.0), 1.0)


def unit(vector: Sequence[float]) -> Floats:
    """Normalise a vector; one of zeros stays."""
    array = np.asarray(vector, dtype=np.float64)
    normal: Floats = (array / (np.linalg.norm(array) or 1.0)).astype(np.float32)
    return normal


class QueryEncoder:
    """
    An encoder whose queries have the vectors of other texts, as HyDE wants it.

    Their mean is the dense vector; the query itself gives the sparse and the ColBERT vectors beside
    it. Without a dense vector these are made of the texts too: the mean of their weights, and all
    of their ColBERT vectors.

    Args:
        encoder: Encodes the texts.
        texts: What stands for every query.
    """

    def __init__(self, encoder: Encoder, texts: Sequence[str]) -> None:
        self._encoder = encoder
        self._texts = list(texts)
        self.model = encoder.model
        self.dim = encoder.dim
        self.reps = encoder.reps
        self.encode_documents = encoder.encode_documents

    def encode_queries(
        self, texts: Sequence[str], reps: Iterable[Rep] | None = None
    ) -> list[M3Output]:
        """Encode queries; see the class."""
        needed = [rep for rep in REPS if rep in (self.reps if reps is None else reps)]
        if list(texts) == self._texts:
            return self._encoder.encode_queries(texts, needed)
        if "dense" not in needed:
            outputs = self._encoder.encode_queries(self._texts, needed)
            return [_together(outputs, needed)] * len(texts)
        dense = self._encoder.encode_queries(self._texts, ["dense"])
        mean = unit(np.mean([require(output.dense, "dense") for output in dense], axis=0))
        return with_dense(self._encoder, texts, needed, mean)


def _together(outputs: Sequence[M3Output], reps: Sequence[Rep]) -> M3Output:
    """Make one query of several, whose sparse and ColBERT scores are means of theirs."""
    sparse = colbert = None
    if "sparse" in reps:
        weights: Counter[int] = Counter()
        for output in outputs:
            weights.update(require(output.sparse, "sparse").to_dict())
        sparse = Sparse.from_dict({id_: sum_ / len(outputs) for id_, sum_ in weights.items()})
    if "colbert" in reps:
        colbert = np.concatenate([require(output.colbert, "colbert") for output in outputs])
    return M3Output(sparse=sparse, colbert=colbert)


def with_dense(
    encoder: Encoder, texts: Sequence[str], reps: Sequence[Rep], dense: Floats
) -> list[M3Output]:
    """Encode queries, all of which have this dense vector, if that is one of `reps`."""
    others = [rep for rep in reps if rep != "dense"]
    if "dense" not in reps:
        return encoder.encode_queries(texts, others)
    outputs = encoder.encode_queries(texts, others) if others else [M3Output() for _ in texts]
    return [
        M3Output(dense=dense, sparse=output.sparse, colbert=output.colbert) for output in outputs
    ]


def connect(url: str, api_key: str | None, others: Mapping[str, Any]) -> Encoder:
    """
    Return the encoder behind a URL; see `m3kit.remote.RemoteEncoder`.

    Args:
        url: Of the server.
        api_key: What it wants to be shown.
        others: Options that would load a model here, by name; None was not given.

    Raises:
        TypeError: If one of them is given.
        RemoteError: If no server answers.
    """
    if given := [name for name, value in others.items() if value is not None]:
        raise TypeError(
            f"{', '.join(given)} would load a model, and url= is given, whose server has one; give "
            "one of them, or encoder=m3kit.remote.RemoteEncoder(url, …)"
        )
    from m3kit.remote import RemoteEncoder  # which needs an extra of its own

    return RemoteEncoder(url, api_key=api_key)


def load_reranker(
    reranker: Reranker | None, model_name: str | None, options: Mapping[str, Any]
) -> Reranker:
    """
    Return a reranker, or load one by its name.

    Args:
        reranker: `(query, texts) -> scores`.
        model_name: A folder, or a name on the Hugging Face hub.
        options: Of `m3kit.torch.CrossEncoder.from_pretrained`.

    Raises:
        TypeError: If both or none are given, or the reranker cannot be called.
        CheckpointError: If there is no such model.
    """
    if (reranker is None) == (model_name is None):
        raise TypeError("give reranker=, a function of a query and texts, or model_name=")
    if model_name is not None:
        from m3kit.torch import CrossEncoder  # takes seconds, and a function does not need it

        return CrossEncoder.from_pretrained(model_name, **options)
    if options:
        raise TypeError(f"{', '.join(options)} would load a model; give model_name= with it")
    return checked_reranker(reranker)


def checked_reranker(reranker: object) -> Reranker:
    """
    Check that something can rerank.

    Raises:
        TypeError: If it cannot, with what to write.
    """
    if isinstance(reranker, str):
        raise TypeError(f"a reranker is a function, not {reranker!r}; give model_name={reranker!r}")
    if hasattr(reranker, "compute_score") or hasattr(reranker, "predict"):
        method = "compute_score" if hasattr(reranker, "compute_score") else "predict"
        raise TypeError(
            f"{type(reranker).__name__} scores pairs; give reranker=lambda query, texts: "
            f"model.{method}([(query, text) for text in texts])"
        )
    if not callable(reranker):
        raise TypeError(
            "a reranker is a function of a query and a list of texts that returns a score for "
            f"each, not {reranker!r:.200}"
        )
    return reranker


class Frozen:
    """Refuses to set what was not there when the object was made."""

    _frozen = False

    def _freeze(self) -> Self:
        object.__setattr__(self, "_frozen", True)
        return self

    def __setattr__(self, name: str, value: Any) -> None:
        if self._frozen and not name.startswith("_"):
            raise AttributeError(
                f"{name} of this {type(self).__name__} cannot be set; make a new one with "
                f"{name}=…, or give the option with the call"
            )
        super().__setattr__(name, value)
