"""The server's model as an ordinary encoder and reranker, for code that runs in a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine, Sequence
from typing import Any, TypeVar

from m3kit.server.exchange import Exchange
from m3kit.server.service import Service
from m3kit.server.texts import Kind
from m3kit.vectors import M3Output, Rep

_T = TypeVar("_T")


class BlockingModel:
    """
    An `m3kit.Encoder` whose texts go through the queue, on behalf of a request.

    What it waits for is given up when the request ends. Call it in a thread that is not the event
    loop's.

    Args:
        service: Whose model it is.
        exchange: The request.
    """

    def __init__(self, service: Service, exchange: Exchange) -> None:
        self._service = service
        self._exchange = exchange
        self._loop = asyncio.get_running_loop()

    @property
    def model(self) -> str | None:
        """The encoder's name."""
        return self._service.encoder.model

    @property
    def dim(self) -> int:
        """Width of the dense vector."""
        return self._service.encoder.dim

    @property
    def reps(self) -> frozenset[Rep]:
        """What the encoder makes."""
        return self._service.encoder.reps

    def encode_queries(
        self, texts: Sequence[str], reps: Collection[Rep] | None = None
    ) -> list[M3Output]:
        """Encode queries."""
        return self._encode(texts, reps, "query")

    def encode_documents(
        self, texts: Sequence[str], reps: Collection[Rep] | None = None
    ) -> list[M3Output]:
        """Encode documents."""
        return self._encode(texts, reps, "document")

    def rerank(self, query: str, texts: Sequence[str]) -> list[float]:
        """Score texts for a query, as an `m3kit.Reranker`."""
        return self._wait(self._service.rerank(self._exchange, query, texts))

    def _encode(
        self, texts: Sequence[str], reps: Collection[Rep] | None, kind: Kind
    ) -> list[M3Output]:
        encoded = self._wait(self._service.encode(self._exchange, texts, reps, kind))
        return encoded.outputs

    def _wait(self, coroutine: Coroutine[Any, Any, _T]) -> _T:
        async def given_up_at_the_end() -> _T:
            task = asyncio.ensure_future(coroutine)
            self._exchange.places.callback(task.cancel)
            return await task

        return asyncio.run_coroutine_threadsafe(given_up_at_the_end(), self._loop).result()
