"""Endpoints that take JSON, called without FastAPI's routing, which takes as long as all else."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias, get_type_hints

from fastapi import APIRouter, Request
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from starlette.responses import Response

from m3kit.server.errors import RequestError, invalid

Endpoint: TypeAlias = Callable[[Request, bytes], Awaitable[Response]]
"""Answers a request whose body was read."""


def direct(*routers: APIRouter) -> Mapping[str, Endpoint]:
    """Return the endpoints of routers that take nothing but a model as JSON, by their paths."""
    return {
        route.path: _endpoint(route.endpoint, hints)
        for router in routers
        for route in router.routes
        if isinstance(route, APIRoute) and route.methods == {"POST"}
        for hints in [get_type_hints(route.endpoint)]
    }


def invalid_body(errors: list[Any]) -> RequestError:
    """Name what is wrong first, without the value, which may be a text."""
    first: Mapping[str, Any] = errors[0]
    place = ".".join(str(part)[:80] for part in first["loc"] if part != "body") or "body"
    return invalid(f"{place}: {first['msg']}")


def _endpoint(function: Callable[..., Awaitable[Response]], hints: Mapping[str, Any]) -> Endpoint:
    model: type[BaseModel] = hints["body"]
    takes_request = "request" in hints

    async def endpoint(request: Request, content: bytes) -> Response:
        try:
            body = model.model_validate(json.loads(content))
        except ValidationError as error:
            raise invalid_body(error.errors()) from None
        except (ValueError, RecursionError):
            raise invalid("body: it is no JSON") from None
        return await (function(body, request) if takes_request else function(body))

    return endpoint
