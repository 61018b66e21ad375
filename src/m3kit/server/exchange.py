"""A request and its answer, as ASGI hands them over."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from secrets import token_hex
from typing import Any, TypeAlias

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]


@dataclass(slots=True)
class Exchange:
    """
    A request and its answer.

    Args:
        id: A name for the log.
        places: What is given back when the answer is sent, or nobody waits for it.
        facts: What else the log says.
    """

    id: str = field(default_factory=lambda: token_hex(8))
    places: ExitStack = field(default_factory=ExitStack)
    facts: dict[str, Any] = field(default_factory=dict)
    status: int | None = None
    complete: bool = False
    ended: bool = False
    abandoned: bool = False


@contextmanager
def ending(exchange: Exchange) -> Iterator[None]:
    """Give back what a request holds at its end."""
    try:
        yield
    finally:
        exchange.ended = True
        exchange.places.close()


@contextmanager
def until_abandoned(
    exchange: Exchange, deadline: asyncio.Timeout, receive: Receive
) -> Iterator[None]:
    """Let the deadline be now when the client goes away before its answer is complete."""

    async def watch() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        if not exchange.complete and not deadline.expired():
            exchange.abandoned = True
            deadline.reschedule(asyncio.get_running_loop().time())

    watching = asyncio.ensure_future(watch())
    try:
        yield
    finally:
        watching.cancel()


def sender_of(exchange: Exchange, send: Send) -> Send:
    """Return a `send` that names the exchange to the client, and follows the answer."""

    async def sender(message: Message) -> None:
        if message["type"] == "http.response.start":
            exchange.status = message["status"]
            headers = [*message.get("headers", ()), (b"x-request-id", exchange.id.encode())]
            message = {**message, "headers": headers}
        elif message["type"] == "http.response.body":
            exchange.complete = not message.get("more_body")
        await send(message)

    return sender
