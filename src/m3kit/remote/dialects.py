"""What each kind of server gives, and how it is asked."""

from __future__ import annotations

import base64
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

import msgpack
import numpy as np

from m3kit.arrays import from_arrays
from m3kit.remote.connection import Connection
from m3kit.remote.errors import RemoteError
from m3kit.vectors import Floats, M3Output, Rep, Sparse

Api: TypeAlias = Literal["m3kit", "tei", "vllm", "openai"]
Kind: TypeAlias = Literal["document", "query"]

_PROBE = "width"


@dataclass(frozen=True, slots=True)
class About:
    """
    What a server gives.

    Args:
        model: As it names it.
        dim: Width of the dense vector.
        reps: What it can give.
        lacking: Why it cannot give the others.
        limits: Tokens of a query and of a document, where it says them.
    """

    model: str
    dim: int
    reps: frozenset[Rep]
    lacking: Mapping[Rep, str] = field(default_factory=dict)
    limits: Mapping[Kind, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Request:
    """
    Texts to encode, as many as a server takes at once.

    Args:
        texts: At least one.
        reps: What is wanted of them; the server gives it.
        kind: What they are.
        max_length: Tokens of a text; None is the server's limit.
    """

    texts: list[str]
    reps: Collection[Rep]
    kind: Kind
    max_length: int | None


@dataclass(frozen=True, slots=True)
class Answer:
    """
    What a server says of some texts.

    Args:
        outputs: One for each.
        truncated: How many it cut, where it says so.
        longest: The tokens that the longest has.
    """

    outputs: list[M3Output]
    truncated: int = 0
    longest: int = 0


class Dialect(Protocol):
    """A kind of server."""

    def about(self, connection: Connection) -> About:
        """Ask what the server gives."""
        ...

    def encode(self, connection: Connection, about: About, request: Request) -> Answer:
        """Encode as many texts as fit into a request."""
        ...


class M3kit:
    """`m3kit serve`: everything, as MessagePack."""

    def about(self, connection: Connection) -> About:
        """Ask what the server gives."""
        info = connection.get("/info") or {}
        if "m3kit" not in info:
            raise RemoteError(f"{connection.url} is not a server of m3kit")
        reps = frozenset(info["reps"])
        lacking: dict[Rep, str] = dict.fromkeys(_others(reps), "its model has no head for them")
        limits: dict[Kind, int] = {}
        for kind in ("document", "query"):
            if limit := info.get(f"{kind}_max_length"):
                limits[kind] = limit
        return About(info["model"], info["dim"], reps, lacking, limits)

    def encode(
        self,
        connection: Connection,
        _about: About,
        request: Request,
    ) -> Answer:
        """Encode texts in one forward pass."""
        body = {
            "texts": request.texts,
            "kind": request.kind,
            "reps": list(request.reps),
            "max_length": request.max_length,
        }
        content = connection.post_for_bytes("/encode", body, "application/msgpack")
        answer = msgpack.unpackb(content)
        arrays = {
            name: np.frombuffer(array["data"], array["dtype"]).reshape(array["shape"])
            for name, array in answer["arrays"].items()
        }
        outputs = from_arrays(arrays, len(request.texts))
        return Answer(outputs, answer["truncated"], answer["longest"])


class Tei:
    """text-embeddings-inference: dense vectors, and lexical weights where `/embed_sparse` works."""

    def about(self, connection: Connection) -> About:
        """Ask what the server gives."""
        info = connection.get("/info") or {}
        dense = connection.post("/embed", {"inputs": [_PROBE]})
        if not dense:
            raise RemoteError(f"{connection.url}/embed gives no dense vectors")
        reps: set[Rep] = {"dense"}
        lacking: dict[Rep, str] = {"colbert": "text-embeddings-inference has no ColBERT head"}
        try:
            sparse = connection.post("/embed_sparse", {"inputs": [_PROBE]})
        except RemoteError:
            sparse = None
        if sparse is None:
            lacking["sparse"] = "its /embed_sparse does not answer for this model"
        else:
            reps.add("sparse")
        model = str(info.get("model_id") or connection.url)
        return About(model, len(dense[0]), frozenset(reps), lacking)

    def encode(
        self,
        connection: Connection,
        _about: About,
        request: Request,
    ) -> Answer:
        """Encode texts, in a request for each representation."""
        _refuse_length(request)
        body = {"inputs": request.texts, "truncate": True}
        dense: list[Floats | None] = [None] * len(request.texts)
        sparse: list[Sparse | None] = [None] * len(request.texts)
        if "dense" in request.reps:
            dense = [_unit(vector) for vector in connection.post("/embed", body)]
        if "sparse" in request.reps:
            answers = connection.post("/embed_sparse", body)
            sparse = [
                _sparse((item["index"], item["value"]) for item in items) for items in answers
            ]
        return _answer(dense, sparse)


class OpenAI:
    """Any server of `/v1/embeddings`: dense vectors alone."""

    lacking: Mapping[Rep, str] = dict.fromkeys(
        ("sparse", "colbert"), "OpenAI's API has dense vectors alone"
    )

    def about(self, connection: Connection) -> About:
        """Ask what the server gives."""
        models = (connection.get("/v1/models") or {}).get("data") or []
        model = str(models[0]["id"]) if models else "default"
        (vector,) = self._dense(connection, model, [_PROBE])
        return About(model, len(vector), frozenset({"dense"}), self.lacking)

    def encode(self, connection: Connection, about: About, request: Request) -> Answer:
        """Encode texts."""
        _refuse_length(request)
        dense = self._dense(connection, about.model, request.texts)
        return _answer(dense, [None] * len(dense))

    def _dense(self, connection: Connection, model: str, texts: Sequence[str]) -> list[Any]:
        body = {"model": model, "input": texts, "encoding_format": "base64"}
        answer = connection.post("/v1/embeddings", body)
        if answer is None:
            raise RemoteError(f"{connection.url} has none of the APIs of m3kit, TEI and OpenAI")
        rows = sorted(answer["data"], key=lambda row: int(row["index"]))
        return [_unit(_decoded(row["embedding"])) for row in rows]


class VLLM(OpenAI):
    """vLLM: dense vectors, and lexical weights with its plugin for BGE-M3, in one request."""

    lacking: Mapping[Rep, str] = {
        "sparse": "its plugin for BGE-M3 is not loaded",
        "colbert": "vLLM leaves the row of the closing token out, and no request gives all three",
    }

    def about(self, connection: Connection) -> About:
        """Ask what the server gives."""
        about = super().about(connection)
        try:
            answer = self._pooled(connection, about.model, [_PROBE], "sparse")
        except RemoteError:
            answer = None
        if not answer:
            return about
        lacking: dict[Rep, str] = {"colbert": self.lacking["colbert"]}
        return About(about.model, about.dim, frozenset({"dense", "sparse"}), lacking)

    def encode(self, connection: Connection, about: About, request: Request) -> Answer:
        """Encode texts in one forward pass."""
        if "sparse" not in request.reps:
            return super().encode(connection, about, request)
        _refuse_length(request)
        both = "dense" in request.reps
        task = "dense&sparse" if both else "sparse"
        rows = self._pooled(connection, about.model, request.texts, task) or []
        dense = [_unit(row["dense_embedding"]) if both else None for row in rows]
        sparse = [
            _sparse((item["token_id"], item["weight"]) for item in row["sparse_embedding"])
            for row in rows
        ]
        return _answer(dense, sparse)

    def _pooled(
        self, connection: Connection, model: str, texts: Sequence[str], task: str
    ) -> list[Any] | None:
        data = {"input": texts, "embed_task": task}
        answer = connection.post("/pooling", {"model": model, "task": "plugin", "data": data})
        if answer is None:
            return None
        return sorted(answer["data"]["data"], key=lambda row: int(row["index"]))


DIALECTS: Mapping[Api, Dialect] = {
    "m3kit": M3kit(),
    "tei": Tei(),
    "vllm": VLLM(),
    "openai": OpenAI(),
}


def recognised(connection: Connection) -> Api:
    """Tell which kind of server this is, by what it says of itself."""
    info = connection.get("/info")
    if isinstance(info, dict) and "m3kit" in info:
        return "m3kit"
    if isinstance(info, dict) and "model_id" in info:
        return "tei"
    models = connection.get("/v1/models")
    listed = models.get("data") if isinstance(models, dict) else None
    if listed and all(model.get("owned_by") == "vllm" for model in listed):
        return "vllm"
    return "openai"


def _others(reps: Collection[Rep]) -> list[Rep]:
    return [rep for rep in ("dense", "sparse", "colbert") if rep not in reps]


def _answer(dense: Sequence[Floats | None], sparse: Sequence[Sparse | None]) -> Answer:
    return Answer([M3Output(dense=d, sparse=s) for d, s in zip(dense, sparse, strict=True)])


def _refuse_length(request: Request) -> None:
    if request.max_length is not None:
        raise TypeError("max_length is for servers of m3kit; this one has no such option")


def _decoded(embedding: Any) -> Any:
    if isinstance(embedding, str):
        return np.frombuffer(base64.b64decode(embedding), "<f4")
    return embedding


def _unit(vector: Any) -> Floats:
    """Return a dense vector at length 1, which not every server gives."""
    dense = np.asarray(vector, dtype=np.float32)
    length = float(np.linalg.norm(dense.astype(np.float64)))
    if abs(length - 1) <= 1e-6 or not length:
        return dense
    return (dense / length).astype(np.float32)


def _sparse(pairs: Any) -> Sparse:
    return Sparse.from_dict({int(id_): float(weight) for id_, weight in pairs if weight > 0})
