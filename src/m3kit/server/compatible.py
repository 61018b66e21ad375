"""The endpoints of other servers, as their clients call them: OpenAI, TEI and vLLM."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from m3kit.server.errors import RequestError, invalid, unsupported
from m3kit.server.formats import dense_base64, json_bytes, json_response, sparse_items
from m3kit.server.service import Encoded, Service
from m3kit.server.texts import Kind, TokenEncoder
from m3kit.vectors import M3Output, Rep

_Texts: TypeAlias = str | list[str]
_NO_IDS = (
    "send texts: token ids are another model's; of langchain_openai.OpenAIEmbeddings ask it by "
    "check_embedding_ctx_length=False"
)


class _Body(BaseModel):
    model_config = ConfigDict(extra="ignore")


class EmbeddingsBody(_Body):
    """OpenAI's request; whatever model it names, this server's answers."""

    input: _Texts | list[int] | list[list[int]]
    model: str | None = None
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = None
    user: str | None = None


class EmbedBody(_Body):
    """TEI's request; by default a text that is too long is cut."""

    inputs: _Texts
    normalize: bool | None = True
    prompt_name: str | None = Field(None, description='"query" encodes queries.')
    truncate: bool | None = None
    truncation_direction: Literal["Right", "right"] | None = "Right"
    dimensions: int | None = None


class RerankBody(_Body):
    """TEI's request."""

    query: str
    texts: list[str]
    raw_scores: bool = False
    return_text: bool = False
    truncate: bool | None = None


class TokenizeBody(_Body):
    """TEI's request."""

    inputs: _Texts
    add_special_tokens: Literal[True] = True
    prompt_name: str | None = None


class PluginData(_Body):
    """What vLLM's plugin for BGE-M3 takes."""

    input: _Texts
    embed_task: Literal["dense", "sparse", "dense&sparse"] = "dense&sparse"
    return_tokens: bool | None = None


class PoolingBody(_Body):
    """vLLM's request, as its plugin for BGE-M3 reads it."""

    model: str | None = None
    task: Literal["plugin", "token_classify"] = "plugin"
    data: PluginData


def router(service: Service) -> APIRouter:
    """Return the endpoints over a service."""
    routes = APIRouter()
    _add_openai(routes, service)
    _add_tei(routes, service)
    _add_vllm(routes, service)
    return routes


def _add_openai(routes: APIRouter, service: Service) -> None:
    name = service.encoder.model

    @routes.get("/v1/models", tags=["OpenAI"])
    async def models() -> Response:
        """Return the one model."""
        model = {"id": name, "object": "model", "created": 0, "owned_by": "m3kit"}
        return json_response({"object": "list", "data": [model]})

    @routes.post("/v1/embeddings", tags=["OpenAI"])
    async def embeddings(body: EmbeddingsBody, request: Request) -> Response:
        """Return dense vectors, as OpenAI does."""
        texts = _listed(body.input)
        _check_dimensions(service, body.dimensions)
        encoded = await _encode(service, request, texts, ["dense"])
        base64 = body.encoding_format == "base64"

        def answer() -> dict[str, Any]:
            data = [
                {
                    "object": "embedding",
                    "index": n,
                    "embedding": dense_base64(output) if base64 else output.dense,
                }
                for n, output in enumerate(encoded.outputs)
            ]
            return {"object": "list", "model": name, "data": data, "usage": _usage(encoded)}

        return await _answer(service, encoded, answer)


def _add_tei(routes: APIRouter, service: Service) -> None:
    @routes.post("/embed", tags=["text-embeddings-inference"])
    @routes.post("/", tags=["text-embeddings-inference"])
    async def embed(body: EmbedBody, request: Request) -> Response:
        """Return dense vectors, a list for each text."""
        if body.normalize is False:
            raise unsupported("the dense vectors of this server are unit vectors")
        _check_dimensions(service, body.dimensions)
        encoded = await _embed(service, request, body, ["dense"])
        return await _answer(service, encoded, lambda: [o.dense for o in encoded.outputs])

    @routes.post("/embed_sparse", tags=["text-embeddings-inference"])
    async def embed_sparse(body: EmbedBody, request: Request) -> Response:
        """Return lexical weights: for each text a list of `{"index", "value"}`."""
        encoded = await _embed(service, request, body, ["sparse"])
        names = ("index", "value")
        return await _answer(
            service, encoded, lambda: [sparse_items(output, names) for output in encoded.outputs]
        )

    @routes.post("/rerank", tags=["text-embeddings-inference"])
    async def rerank(body: RerankBody, request: Request) -> Response:
        """
        Score texts for a query, best first.

        The scores are the reranker's: probabilities, or logits with `raw_scores`. A server without
        a reranker answers with M3's own weighted sum.
        """
        exchange = request.scope["m3kit"]
        normalize = not body.raw_scores
        scores = await service.rerank(exchange, body.query, body.texts, normalize=normalize)
        order = sorted(range(len(scores)), key=lambda n: (-scores[n], n))
        texts = [_valid(text) for text in body.texts] if body.return_text else None
        return json_response(
            [
                {"index": n, "score": scores[n], **({} if texts is None else {"text": texts[n]})}
                for n in order
            ]
        )

    @routes.post("/tokenize", tags=["text-embeddings-inference"])
    async def tokenize(body: TokenizeBody) -> Response:
        """Return the tokens of texts as the model reads them, cut to its limit."""
        texts, encoder = _listed(body.inputs), service.encoder
        service.check_texts(texts)
        if not isinstance(encoder, TokenEncoder):
            raise unsupported("this encoder does not give its tokens")
        query = _kind(body.prompt_name) == "query"
        spell = encoder.query_tokens if query else encoder.document_tokens
        spelled = await service.run_short(lambda: [spell(text) for text in texts])
        return json_response([_tokens(tokens) for tokens in spelled])


def _add_vllm(routes: APIRouter, service: Service) -> None:
    @routes.post("/pooling", tags=["vLLM"])
    async def pooling(body: PoolingBody, request: Request) -> Response:
        """Return dense vectors, lexical weights or both, as vLLM's plugin for BGE-M3 does."""
        data, exchange = body.data, request.scope["m3kit"]
        texts = _listed(data.input)
        task = "sparse" if body.task == "token_classify" else data.embed_task
        reps: list[Rep] = [rep for rep in ("dense", "sparse") if rep in task.split("&")]
        encoded = await _encode(service, request, texts, reps)
        spelled: dict[int, str] = {}
        if data.return_tokens and isinstance(service.encoder, TokenEncoder):
            encoder = service.encoder
            spelled = await service.run_short(
                lambda: dict(token for text in texts for token in encoder.document_tokens(text))
            )

        def answer() -> dict[str, Any]:
            return {
                "request_id": f"pool-{exchange.id}",
                "created_at": int(time.time()),
                "data": {
                    "data": [
                        {"index": n, "object": task, **_pooled(output, spelled)}
                        for n, output in enumerate(encoded.outputs)
                    ],
                    "usage": _usage(encoded),
                },
            }

        return await _answer(service, encoded, answer)


def _pooled(output: M3Output, spelled: Mapping[int, str]) -> dict[str, Any]:
    sparse = None
    if output.sparse is not None:
        items = sparse_items(output, ("token_id", "weight"))
        sparse = [{**item, "token": spelled.get(item["token_id"])} for item in items]
    return {"dense_embedding": output.dense, "sparse_embedding": sparse}


async def _answer(service: Service, encoded: Encoded, answer: Callable[[], object]) -> Response:
    content = await service.write(encoded, lambda: json_bytes(answer()))
    return Response(content, media_type="application/json")


async def _embed(service: Service, request: Request, body: EmbedBody, reps: list[Rep]) -> Encoded:
    return await service.encode(
        request.scope["m3kit"],
        _listed(body.inputs),
        reps,
        _kind(body.prompt_name),
        truncate=body.truncate is not False,
    )


async def _encode(service: Service, request: Request, texts: list[str], reps: list[Rep]) -> Encoded:
    return await service.encode(request.scope["m3kit"], texts, reps)


def _valid(text: str) -> str:
    """Return a text without the lone surrogates that no JSON can hold."""
    return text.encode(errors="replace").decode()


def _kind(prompt_name: str | None) -> Kind:
    return "query" if prompt_name == "query" else "document"


def _listed(texts: _Texts | list[int] | list[list[int]]) -> list[str]:
    listed = [texts] if isinstance(texts, str) else texts
    if not listed:
        raise invalid("the input is empty; send at least one text")
    checked = [text for text in listed if isinstance(text, str)]
    if len(checked) < len(listed):
        raise RequestError(400, "invalid_request_error", _NO_IDS)
    return checked


def _check_dimensions(service: Service, dimensions: int | None) -> None:
    if dimensions not in {None, service.encoder.dim}:
        raise invalid(f"this model has {service.encoder.dim} dimensions, and no fewer")


def _usage(encoded: Encoded) -> dict[str, int]:
    return {"prompt_tokens": encoded.tokens, "total_tokens": encoded.tokens}


def _tokens(spelled: list[tuple[int, str]]) -> list[dict[str, Any]]:
    last = len(spelled) - 1
    return [
        {"id": id_, "text": text, "special": n in {0, last}, "start": None, "stop": None}
        for n, (id_, text) in enumerate(spelled)
    ]
