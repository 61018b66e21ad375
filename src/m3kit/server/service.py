"""What the server does, whatever the form of a request."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Collection, Coroutine, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from m3kit.encoder import Encoder
from m3kit.fusion import WeightedSum
from m3kit.index import HybridIndex
from m3kit.scoring import scores
from m3kit.server.batching import Batcher
from m3kit.server.errors import RequestError, invalid, too_large, unsupported
from m3kit.server.exchange import Exchange
from m3kit.server.limits import Limits
from m3kit.server.metrics import Metrics
from m3kit.server.texts import ById, ByText, Kind, Prepared, TokenEncoder
from m3kit.server.workers import Workers
from m3kit.vectors import REPS, M3Output, Rep

_T = TypeVar("_T")

_CHARACTERS = 8000
"""What is tokenized in the event loop: a few milliseconds, in which nothing else is answered."""

_NUMBERS = 2**16
"""How many numbers are written there."""

_QUEUED = 4
"""Calls that wait for the model and for a thread, for each thread."""

_PAIRS = 64
"""Pairs that are reranked together."""


class PairReranker(Protocol):
    """A reranker as `m3kit.torch.CrossEncoder` is."""

    @property
    def model(self) -> str:
        """Its name."""
        ...

    def scores(
        self, pairs: Sequence[Sequence[str]], *, normalize: bool | None = None
    ) -> list[float]:
        """Score `(query, passage)`, higher is better."""
        ...


@dataclass(frozen=True, slots=True)
class Encoded:
    """
    The outputs of a request's texts.

    Args:
        outputs: One for each.
        tokens: How many tokens the texts have together, once cut.
        truncated: How many of them were cut.
        longest: The tokens that the longest had before.
    """

    outputs: list[M3Output]
    tokens: int
    truncated: int
    longest: int

    @property
    def numbers(self) -> int:
        """How many numbers an answer with all of them has."""
        return sum(
            (0 if output.dense is None else output.dense.size)
            + (0 if output.sparse is None else len(output.sparse))
            + (0 if output.colbert is None else output.colbert.size)
            for output in self.outputs
        )


class Service:
    """
    A model with its queue, and the reranker and index beside it.

    Args:
        encoder: Encodes texts.
        reranker: Scores pairs, if given.
        index: What is searched, if given.
        limits: What is refused.
        metrics: Where texts and batches are counted.
    """

    def __init__(
        self,
        encoder: Encoder,
        *,
        reranker: PairReranker | None,
        index: HybridIndex | None,
        limits: Limits,
        metrics: Metrics,
    ) -> None:
        self.encoder = encoder
        self.reranker = reranker
        self.index = index
        self.limits = limits
        self.metrics = metrics
        self._texts = ById(encoder) if isinstance(encoder, TokenEncoder) else ByText(encoder)
        self.batch_tokens = limits.batch_tokens or self._texts.batch_tokens
        self._batcher: Batcher[Any, M3Output] = Batcher(
            self._texts.compute,
            budget=self.batch_tokens,
            capacity=limits.queue_tokens,
            lanes=self._texts.lanes,
            on_batch=metrics.on_batch,
        )
        self._pairs: Batcher[tuple[str, str], float] = Batcher(
            self._score_pairs, budget=_PAIRS, capacity=limits.pairs
        )
        metrics.queue_tokens.set_function(lambda: self._batcher.taken)
        self._workers = Workers(limits.threads, queued=_QUEUED * limits.threads)
        self._short = Workers(limits.threads, queued=limits.requests)
        self.ready = False

    async def start(self) -> None:
        """Begin to answer, once the model has computed something."""
        self._batcher.start()
        self._pairs.start()
        await self._batcher.compute(*self._warm())
        self.ready = True

    async def stop(self) -> None:
        """End, with what is under way computed."""
        self.ready = False
        await self._workers.stop()
        await self._short.stop()
        await self._batcher.stop()
        await self._pairs.stop()

    def checked_reps(self, reps: Collection[Rep] | None) -> list[Rep]:
        """Return the representations of a request, by default all that the model gives."""
        if reps is None:
            return [rep for rep in REPS if rep in self.encoder.reps]
        if not reps:
            raise invalid("reps names at least one of dense, sparse, colbert")
        if missing := [rep for rep in REPS if rep in reps and rep not in self.encoder.reps]:
            raise unsupported(f"{self.encoder.model} gives no {', '.join(missing)} vectors")
        return [rep for rep in REPS if rep in reps]

    def check_texts(self, texts: Sequence[str]) -> None:
        """Refuse too many texts, and texts that are too long."""
        if len(texts) > self.limits.texts:
            raise too_large(f"a request has at most {self.limits.texts} texts; split it")
        if max(map(len, texts), default=0) > self.limits.characters:
            raise too_large(f"a text has at most {self.limits.characters} characters; split it")

    async def encode(
        self,
        exchange: Exchange,
        texts: Sequence[str],
        reps: Collection[Rep] | None,
        kind: Kind = "document",
        *,
        max_length: int | None = None,
        truncate: bool = True,
    ) -> Encoded:
        """
        Encode the texts of a request.

        Args:
            exchange: The request, whose place in the queue this takes.
            texts: As many as `Limits` allows.
            reps: What to compute; None is all that the model gives.
            kind: What they are.
            max_length: Tokens of a text; by default the encoder's own limit.
            truncate: Whether a longer text is cut, or refused.

        Raises:
            RequestError: If that is too much, or there is no room.
        """
        chosen = self.checked_reps(reps)
        self.check_texts(texts)

        def prepare() -> Prepared:
            return self._texts.prepare(texts, kind, chosen, max_length)

        prepared = await self.run_short(prepare, inline=sum(map(len, texts)) <= _CHARACTERS)
        if prepared.truncated and not truncate:
            raise too_large(
                f"{prepared.truncated} of {len(texts)} inputs are longer than the model takes; "
                "send truncate: true"
            )
        tokens = sum(prepared.sizes)
        self._enter(exchange, self._batcher, tokens, alone="colbert" not in chosen)
        self._count(exchange, kind, len(texts), tokens, prepared.truncated)
        outputs = await self._batcher.compute(prepared.items, prepared.sizes, prepared.key)
        return Encoded(outputs, tokens, prepared.truncated, prepared.longest)

    async def rerank(
        self, exchange: Exchange, query: str, texts: Sequence[str], *, normalize: bool = True
    ) -> list[float]:
        """
        Score texts for a query: by the reranker, or without one by M3's own weighted sum.

        Args:
            exchange: The request.
            query: What is looked for.
            texts: What may answer it.
            normalize: Whether a reranker's scores are probabilities, not logits.
        """
        if self.reranker is None:
            return await self._m3_scores(exchange, query, texts)
        self.check_texts([query, *texts])
        self._enter(exchange, self._pairs, len(texts))
        exchange.facts["pairs"] = exchange.facts.get("pairs", 0) + len(texts)
        pairs = [(query, text) for text in texts]
        logits = await self._pairs.compute(pairs, [1] * len(pairs))
        return [_sigmoid(logit) for logit in logits] if normalize else logits

    async def run(self, function: Callable[[], _T]) -> _T:
        """Call a function in a thread; it may wait for the model."""
        return await self._workers.run(function)

    async def run_short(self, function: Callable[[], _T], *, inline: bool = False) -> _T:
        """Call a function that waits for nothing, in a thread unless it is as fast as that."""
        return function() if inline else await self._short.run(function)

    async def write(self, encoded: Encoded, function: Callable[[], bytes]) -> bytes:
        """Call the function that writes an answer with encoded texts."""
        return await self.run_short(function, inline=encoded.numbers <= _NUMBERS)

    async def _m3_scores(self, exchange: Exchange, query: str, texts: Sequence[str]) -> list[float]:
        encoded, read = await _both(
            self.encode(exchange, [query], None, "query"), self.encode(exchange, texts, None)
        )
        (output,) = encoded.outputs

        def combine() -> list[float]:
            names = [str(n) for n in range(len(texts))]
            fused = WeightedSum().fuse(
                {
                    rep: dict(zip(names, scores(rep, output, read.outputs).tolist(), strict=True))
                    for rep in REPS
                    if rep in output.reps
                }
            )
            return [fused[name] for name in names]

        return await self.run(combine)

    def _score_pairs(self, _: Hashable, pairs: Sequence[tuple[str, str]]) -> list[float]:
        if self.reranker is None:
            raise RequestError(424, "backend", "this server has no reranker")
        return self.reranker.scores(pairs, normalize=False)

    def _warm(self) -> tuple[Sequence[Any], Sequence[int], Hashable]:
        prepared = self._texts.prepare(["warm up"], "document", self.checked_reps(None), None)
        return prepared.items, prepared.sizes, prepared.key

    def _enter(
        self, exchange: Exchange, batcher: Batcher[Any, Any], size: int, *, alone: bool = False
    ) -> None:
        if exchange.ended:
            raise RequestError(504, "timeout", "nobody waits for this request")
        exchange.places.enter_context(batcher.enter(size, alone=alone))

    def _count(
        self, exchange: Exchange, kind: Kind, texts: int, tokens: int, truncated: int
    ) -> None:
        self.metrics.texts.labels(kind).inc(texts)
        self.metrics.truncated.inc(truncated)
        for name, count in (("texts", texts), ("tokens", tokens), ("truncated", truncated)):
            exchange.facts[name] = exchange.facts.get(name, 0) + count


async def _both(first: Coroutine[Any, Any, _T], second: Coroutine[Any, Any, _T]) -> tuple[_T, _T]:
    """Await two coroutines at once; where one fails, the other is given up."""
    tasks = [asyncio.ensure_future(first), asyncio.ensure_future(second)]
    try:
        result, other = await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
    return result, other


def _sigmoid(logit: float) -> float:
    small = math.exp(-abs(logit))  # never overflows
    return 1 / (1 + small) if logit >= 0 else small / (1 + small)
