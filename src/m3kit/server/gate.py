"""What every request passes: who may ask, how much, for how long; and what is written of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from hashlib import sha256
from hmac import compare_digest

from starlette.requests import Request

from m3kit.server.direct import Endpoint
from m3kit.server.errors import RequestError, overloaded, too_large
from m3kit.server.exchange import (
    App,
    Exchange,
    Message,
    Receive,
    Scope,
    Send,
    ending,
    sender_of,
    until_abandoned,
)
from m3kit.server.limits import Limits
from m3kit.server.logs import log, log_error
from m3kit.server.metrics import Metrics

_OPEN = {"/health", "/ready"}
"""What needs no key."""

_CLOSED_REQUEST = 499
"""What is logged of a client that went away, as nginx does."""


class Gate:
    """
    An ASGI application in front of another.

    Args:
        app: What answers; finds its `Exchange` as `scope["m3kit"]`.
        endpoints: What answers instead of it to POST, by path.
        paths: Those that it knows.
        limits: What is refused.
        metrics: Where requests are counted.
        api_key: What clients have to show, if anything.
        hosts: The names under which the server may be called; none is every name. A page in a
            browser on the same machine cannot reach a server on loopback under a name of its own.
    """

    def __init__(
        self,
        app: App,
        endpoints: Mapping[str, Endpoint],
        *,
        paths: Collection[str],
        limits: Limits,
        metrics: Metrics,
        api_key: str | None,
        hosts: Collection[str],
    ) -> None:
        self._app = app
        self._endpoints = endpoints
        self._paths = frozenset(paths)
        self._limits = limits
        self._metrics = metrics
        self._key = None if api_key is None else sha256(api_key.encode()).digest()
        self._hosts = frozenset(hosts)
        self._under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        loop, exchange = asyncio.get_running_loop(), Exchange()
        start = loop.time()
        scope["m3kit"] = exchange
        sender = sender_of(exchange, send)
        try:
            async with asyncio.timeout(self._limits.deadline) as deadline:
                await self._pass(scope, exchange, deadline, receive, sender)
        except RequestError as error:
            await _refuse(error, scope["path"], exchange, sender)
        except TimeoutError:
            if exchange.abandoned:
                exchange.status = _CLOSED_REQUEST
                return
            late = RequestError(504, "timeout", f"no answer within {self._limits.deadline:g} s")
            await _refuse(late, scope["path"], exchange, sender)
        except Exception as error:  # noqa: BLE001  # nothing of it reaches the client
            log_error("request failed", error, id=exchange.id)
            failed = RequestError(500, "backend", f"internal error; see the log at {exchange.id}")
            await _refuse(failed, scope["path"], exchange, sender)
        finally:
            self._write(scope, exchange, loop.time() - start)

    async def _pass(
        self,
        scope: Scope,
        exchange: Exchange,
        deadline: asyncio.Timeout,
        receive: Receive,
        send: Send,
    ) -> None:
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        self._check_host(headers)
        if scope["path"] not in _OPEN:
            self._check_key(headers)
        if scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        _check_type(headers)
        with self._room(), ending(exchange):
            body = await self._body(exchange, headers, receive)
            parts = [{"type": "http.request", "body": body, "more_body": False}]

            async def read() -> Message:
                return parts.pop() if parts else await asyncio.Future()

            with until_abandoned(exchange, deadline, receive):
                if endpoint := self._endpoints.get(scope["path"]):
                    response = await endpoint(Request(scope), body)
                    await response(scope, read, send)
                else:
                    await self._app(scope, read, send)

    async def _body(self, exchange: Exchange, headers: dict[bytes, str], receive: Receive) -> bytes:
        limit = self._limits.body_bytes
        if int(headers.get(b"content-length", "0") or 0) > limit:
            raise too_large(f"a body has at most {limit} bytes")
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                exchange.abandoned = True
                raise TimeoutError
            body += message.get("body", b"")
            if len(body) > limit:
                raise too_large(f"a body has at most {limit} bytes")
            if not message.get("more_body"):
                return bytes(body)

    def _check_host(self, headers: dict[bytes, str]) -> None:
        if not self._hosts:
            return
        host = headers.get(b"host", "")
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
        if name.strip("[]").lower() not in self._hosts:
            raise RequestError(
                421, "validation", "this server is not called so; allow the name with --host-name"
            )

    def _check_key(self, headers: dict[bytes, str]) -> None:
        if self._key is None:
            return
        scheme, _, shown = headers.get(b"authorization", "").partition(" ")
        given = sha256(shown.strip().encode("latin-1", "replace")).digest()
        if not compare_digest(given, self._key) or scheme.lower() != "bearer":
            raise RequestError(401, "authentication", "send the header Authorization: Bearer KEY")

    @contextmanager
    def _room(self) -> Iterator[None]:
        if self._under_way >= self._limits.requests:
            raise overloaded(1, f"{self._under_way} requests are under way")
        self._under_way += 1
        self._metrics.under_way.inc()
        try:
            yield
        finally:
            self._under_way -= 1
            self._metrics.under_way.dec()

    def _write(self, scope: Scope, exchange: Exchange, seconds: float) -> None:
        path = scope["path"] if scope["path"] in self._paths else "other"
        status = exchange.status or 0
        self._metrics.requests.labels(path, str(status)).inc()
        self._metrics.seconds.labels(path).observe(seconds)
        if path not in _OPEN:
            milliseconds = round(1000 * seconds, 1)
            log("request", id=exchange.id, path=path, status=status, ms=milliseconds,
                **exchange.facts)  # fmt: skip


def _check_type(headers: dict[bytes, str]) -> None:
    """A page of another site may send forms and plain text unasked, but no JSON."""
    kind = headers.get(b"content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise RequestError(415, "validation", "send JSON, with Content-Type: application/json")


async def _refuse(error: RequestError, path: str, exchange: Exchange, send: Send) -> None:
    if exchange.status is not None:  # an answer has begun; the server closes the connection
        return
    body = json.dumps(error.body(path)).encode()
    headers = {"content-type": "application/json", "content-length": str(len(body))}
    headers |= error.headers
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    with suppress(OSError):
        await send({"type": "http.response.start", "status": error.status, "headers": raw})
        await send({"type": "http.response.body", "body": body})
