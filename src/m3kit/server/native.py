"""m3kit's own endpoints: encode, score, search, explain."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from m3kit.arrays import Dtype
from m3kit.filter_json import field_from_json, filter_from_json
from m3kit.fusion import Fusion, FusionName, WeightedSum
from m3kit.index import HybridIndex, RepresentationError
from m3kit.pairs import score_pairs
from m3kit.records import Hit
from m3kit.retriever import Retriever
from m3kit.server.blocking import BlockingModel
from m3kit.server.errors import invalid, too_large, unsupported
from m3kit.server.explaining import explain_document, token_reader
from m3kit.server.formats import (
    MEDIA_TYPES,
    chosen_format,
    encoded_bytes,
    json_bytes,
    json_response,
)
from m3kit.server.service import Service
from m3kit.server.texts import Kind
from m3kit.vectors import REPS, Rep
from m3kit.with_colbert import WithColbert

_BINARY = {"schema": {"type": "string", "format": "binary"}}


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class EncodeBody(_Body):
    """Texts, and what is wanted of them."""

    texts: list[str]
    kind: Kind = "document"
    reps: list[Rep] | None = Field(
        default=None, description="Of dense, sparse, colbert; by default all."
    )
    dtype: Dtype = Field(default="float32", description="Of dense and ColBERT vectors.")
    max_length: Annotated[int, Field(ge=3)] | None = Field(
        default=None, description="Tokens of a text, special ones included."
    )


class ScoreBody(_Body):
    """Pairs of a query and a passage."""

    pairs: list[Annotated[list[str], Field(min_length=2, max_length=2)]]
    weights: Annotated[list[float], Field(min_length=3, max_length=3)] | None = Field(
        default=None, description="Of dense, sparse and ColBERT; by default one each."
    )


class SearchBody(_Body):
    """A search; what is left out is as in m3kit.Retriever.search."""

    query: str
    k: Annotated[int, Field(ge=1)] = 10
    where: dict[str, Any] | None = Field(
        default=None, description='A filter: {"op": "eq", "field": "lang", "value": "de"}.'
    )
    reps: list[Rep] | None = None
    fusion: FusionName | WeightsBody = "weighted"
    candidates: Annotated[int, Field(ge=1)] = 100
    min_score: float | None = None
    with_scores: bool = False
    rerank: bool = Field(default=False, description="Whether the reranker orders the candidates.")
    group_by: str | list[str] | None = Field(
        default=None,
        description="A field of the metadata, or the path to it as a list: k counts groups of "
        "documents with the same value in it, and each has but its best hits.",
    )
    group_size: Annotated[int, Field(ge=1)] = 1


class WeightsBody(_Body):
    """The weights of a weighted sum."""

    dense: Annotated[float, Field(ge=0)] = 1.0
    sparse: Annotated[float, Field(ge=0)] = 0.3
    colbert: Annotated[float, Field(ge=0)] = 1.0


class ExplainBody(_Body):
    """A query, and the document whose scores are to be taken apart."""

    query: str
    id: str


def router(service: Service) -> APIRouter:
    """Return the endpoints over a service."""
    routes = APIRouter(tags=["m3kit"])

    @routes.post(
        "/encode",
        responses={
            200: {"content": {MEDIA_TYPES["msgpack"]: _BINARY, MEDIA_TYPES["safetensors"]: _BINARY}}
        },
    )
    async def encode(body: EncodeBody, request: Request) -> Response:
        """
        Encode texts in one forward pass; the header Accept chooses the format.

        MessagePack and safetensors hold a few arrays for all texts: `dense`; `sparse_lengths`,
        `sparse_ids`, `sparse_weights`; `colbert_lengths`, `colbert`.
        """
        encoded = await service.encode(
            request.scope["m3kit"], body.texts, body.reps, body.kind, max_length=body.max_length
        )
        format_ = chosen_format(request.headers.get("accept", ""))
        model = service.encoder.model or ""
        content = await service.write(
            encoded, lambda: encoded_bytes(encoded, model, format_, body.dtype)
        )
        return Response(content, media_type=MEDIA_TYPES[format_])

    @routes.post("/score")
    async def score(body: ScoreBody, request: Request) -> Response:
        """Score pairs in M3's five ways: a list for each of them."""
        if service.encoder.reps != frozenset(REPS):
            raise unsupported(f"{service.encoder.model} does not give all of {', '.join(REPS)}")
        if len(body.pairs) > service.limits.texts:
            raise too_large(f"a request has at most {service.limits.texts} pairs; split it")
        model = BlockingModel(service, request.scope["m3kit"])
        scores = await service.run(lambda: score_pairs(model, body.pairs, weights=body.weights))
        return json_response({"model": model.model, "scores": scores})

    @routes.post("/search")
    async def search(body: SearchBody, request: Request) -> Response:
        """Find the documents of the server's index that answer a query."""
        index = _index(service)
        _check_search(service, body)
        model = BlockingModel(service, request.scope["m3kit"])
        hits = await service.run(lambda: _search(index, model, body))
        return Response(
            await service.run_short(
                lambda: json_bytes({"model": model.model, "hits": [hit.to_json() for hit in hits]})
            ),
            media_type="application/json",
        )

    @routes.post("/explain")
    async def explanation(body: ExplainBody, request: Request) -> Response:
        """Say which tokens of a query and of a document met, and what each was worth."""
        index, tokens = _index(service), token_reader(service.encoder)
        service.check_texts([body.query])
        model = BlockingModel(service, request.scope["m3kit"])
        _, result = await service.run(
            lambda: explain_document(index, model, tokens, body.query, body.id)
        )
        return json_response({"id": body.id, "model": model.model, **result.to_json()})

    return routes


def _index(service: Service) -> HybridIndex:
    if service.index is None:
        raise unsupported("this server has no index; start it with --in")
    return service.index


def _check_search(service: Service, body: SearchBody) -> None:
    service.check_texts([body.query])
    if max(body.k, body.candidates) > service.limits.hits:
        raise too_large(f"k and candidates are at most {service.limits.hits}")
    if body.k * body.group_size > service.limits.hits:
        raise too_large(f"k times group_size is at most {service.limits.hits}")
    if body.group_size > 1 and body.group_by is None:
        raise invalid("group_size is the hits of a group; give group_by with it")
    if body.rerank and service.reranker is None:
        raise unsupported("this server has no reranker; start it with --reranker")


def _search(index: HybridIndex, model: BlockingModel, body: SearchBody) -> list[Hit]:
    fusion: Fusion | FusionName | WeightsBody = body.fusion
    try:
        where = None if body.where is None else filter_from_json(body.where)
        group_by = None if body.group_by is None else field_from_json(body.group_by)
        if isinstance(fusion, WeightsBody):
            fusion = WeightedSum(**dict(fusion))
            fusion.total(index.reps if body.reps is None else body.reps)
    except ValueError as error:
        raise invalid(str(error)) from error
    composed = "colbert" in (body.reps or ()) and "colbert" not in index.reps
    retriever = Retriever(
        model,
        WithColbert(index, model) if composed else index,
        reranker=model.rerank if body.rerank else None,
    )
    try:
        return retriever.search(
            body.query,
            k=body.k,
            where=where,
            reps=body.reps,
            fusion=fusion,
            candidates=body.candidates,
            min_score=body.min_score,
            with_scores=body.with_scores,
            group_by=group_by,
            group_size=body.group_size,
        )
    except RepresentationError as error:
        raise invalid(str(error)) from error
