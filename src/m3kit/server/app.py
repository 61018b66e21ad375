"""The server as an ASGI application."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, Response

import m3kit
from m3kit.encoder import Encoder
from m3kit.index import HybridIndex, check_encoder
from m3kit.server import compatible, native
from m3kit.server.about import about
from m3kit.server.direct import direct, invalid_body
from m3kit.server.errors import RequestError
from m3kit.server.formats import json_bytes, json_response
from m3kit.server.gate import Gate
from m3kit.server.limits import Limits
from m3kit.server.metrics import Metrics
from m3kit.server.playground import Playground, router
from m3kit.server.service import PairReranker, Service

LOOPBACK = ("localhost", "127.0.0.1", "::1")
"""The names of this machine to itself."""


def create_app(
    encoder: Encoder,
    *,
    reranker: PairReranker | None = None,
    index: HybridIndex | None = None,
    limits: Limits = Limits(),  # noqa: B008  # frozen, so one default serves all
    api_key: str | None = None,
    hosts: Collection[str] = LOOPBACK,
    playground: Playground | None = None,
) -> Gate:
    """
    Make the ASGI application that `m3kit serve` runs.

    Args:
        encoder: What encodes texts.
        reranker: Scores pairs for `/rerank`, as `m3kit.torch.CrossEncoder` does; without one M3's
            own scores do.
        index: What `/search` and `/explain` look into; made by the same model.
        limits: What is refused.
        api_key: What clients have to show as `Authorization: Bearer`; None asks for nothing.
        hosts: The names under which clients may call the server; an empty tuple is every name.
        playground: Adds a page at `/playground` that looks into the index.

    Raises:
        TypeError: If the encoder is none.
        ValueError: If the key is empty, or a playground has no index, or a key beside it, which
            its page could not show.
        ModelMismatchError: If the index was made by another model.
    """
    check_encoder(encoder)
    if api_key is not None and not api_key.strip():
        raise ValueError("the api_key is empty; leave it out to serve without one")
    if index is not None:
        m3kit.index.check_model(index.model, encoder.model, "the index")
    if playground is not None and api_key is not None:
        raise ValueError("a playground's page shows no key; serve it on loopback without one")
    metrics = Metrics()
    service = Service(encoder, reranker=reranker, index=index, limits=limits, metrics=metrics)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await service.start()
        yield
        await service.stop()

    app = FastAPI(
        title="m3kit",
        version=m3kit.__version__,
        summary="BGE-M3's dense, sparse and ColBERT vectors in one forward pass.",
        lifespan=lifespan,
        docs_url=None,  # their scripts come from elsewhere
        redoc_url=None,
        exception_handlers={
            RequestError: _on_error,
            RequestValidationError: _on_invalid,
            HTTPException: _on_unknown,
        },
    )
    apis = native.router(service), compatible.router(service)
    routers = [*apis] if playground is None else [*apis, router(service, playground)]
    for routes in routers:
        app.include_router(routes)
    _add_about(app, service, metrics)
    paths = {
        getattr(route, "path", "")
        for routes in (app.routes, *(each.routes for each in routers))
        for route in routes
    }
    return Gate(
        app,
        direct(*apis),
        paths=paths,
        limits=limits,
        metrics=metrics,
        api_key=api_key,
        hosts=hosts,
    )


def _add_about(app: FastAPI, service: Service, metrics: Metrics) -> None:
    @app.get("/health", tags=["about"])
    async def health() -> Response:
        """Say that the process answers."""
        return json_response({"status": "ok"})

    @app.get("/ready", tags=["about"])
    async def ready() -> Response:
        """Say whether requests are taken."""
        if not service.ready:
            raise RequestError(503, "unhealthy", "not ready", retry_after=1)
        return json_response({"status": "ready"})

    @app.get("/info", tags=["about"])
    async def info() -> Response:
        """Say which model this is, what it gives, and what is too much."""
        return json_response(about(service))

    @app.get("/metrics", tags=["about"])
    async def prometheus() -> Response:
        """Return the metrics that Prometheus reads."""
        return PlainTextResponse(metrics.text(), media_type="text/plain; version=0.0.4")


async def _on_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)  # noqa: S101  # registered for nothing else
    return _response(request, error)


async def _on_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    return _response(request, invalid_body(list(error.errors())))


async def _on_unknown(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    return _response(request, RequestError(error.status_code, "not_found", str(error.detail)))


def _response(request: Request, error: RequestError) -> Response:
    return Response(
        json_bytes(error.body(request.url.path)),
        status_code=error.status,
        headers=error.headers,
        media_type="application/json",
    )
