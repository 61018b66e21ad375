"""From texts to outputs in bounded memory: read, tokenize, sort, compute, restore the order."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import tee
from typing import Protocol

from m3kit._batching import chunked
from m3kit._overlap import overlapped
from m3kit.backend.reporting import Cuts, progress
from m3kit.backend.tokenizer import SPECIAL_TOKENS, TextTokenizer, Tokens
from m3kit.vectors import Ints, M3Output, Rep

_WINDOW = 8  # batches whose texts are sorted by length together
_CHARS = 2**16  # characters tokenized together
_AHEAD = 8  # chunks tokenized ahead, while the model computes


class Model(Protocol):
    """What a backend computes."""

    @property
    def width(self) -> int:
        """Width of the dense vector."""
        ...

    @property
    def max_length(self) -> int:
        """How many tokens a text may have, special ones included."""
        ...

    @property
    def reps(self) -> frozenset[Rep]:
        """The representations that it computes."""
        ...

    def __call__(self, texts: Sequence[Ints], reps: Collection[Rep], /) -> list[M3Output]:
        """Encode the token ids of a batch, computing `reps` and nothing else."""
        ...


@dataclass(frozen=True, slots=True)
class Kind:
    """
    How a kind of text is encoded: queries or documents.

    Args:
        option: The name of the option that limits the length, for messages.
        max_length: The largest number of tokens, the two special ones included.
        instruction: The prefix of each text.

    Raises:
        ValueError: If the limit leaves no token for the text.
    """

    option: str
    max_length: int
    instruction: str

    def __post_init__(self) -> None:
        if self.max_length <= SPECIAL_TOKENS:
            raise ValueError(
                f"{self.option} counts {SPECIAL_TOKENS} special tokens, so {self.max_length} "
                "leaves none for the text"
            )


@dataclass(frozen=True, slots=True)
class Pipeline:
    """
    A model with its tokenizer; holds no state between calls, so threads may share it.

    Args:
        model: Computes a batch.
        tokenizer: Tokenizes texts, truncated to their limit.
        batch_tokens: Tokens in a batch; a longer text has a batch of its own.
        progress: Whether to show a bar.
        lanes: Batches that the model computes concurrently while texts are tokenized; 0 for a
            model that uses the whole machine.
    """

    model: Model
    tokenizer: TextTokenizer
    batch_tokens: int
    progress: bool
    lanes: int = 0

    def __call__(
        self, texts: Iterable[str], reps: Collection[Rep], kind: Kind, *, total: int | None
    ) -> Iterator[M3Output]:
        """Encode texts as they are read, in order; `total` is for the bar."""
        longest = self.model.max_length
        limit = self.limit(kind)
        raising = f"raise {kind.option} or " if limit < longest else ""
        cuts = Cuts(limit, f"{raising}split them")
        tokens = cuts.watch(self._tokens(texts, limit, kind.instruction))
        with progress(total=total, shown=self.progress) as advance:
            try:
                yield from self._outputs(tokens, reps, advance)
            finally:
                cuts.report()

    def tokens(self, text: str, kind: Kind) -> list[tuple[int, str]]:
        """Return id and text of each token of a text, as the model reads it."""
        (tokens,) = self.tokenizer([kind.instruction + text], self.limit(kind))
        return self.tokenizer.spelled(tokens.ids)

    def tokenized(self, texts: Sequence[str], kind: Kind) -> list[Tokens]:
        """Return the ids of each text, cut to its limit."""
        return self.tokenizer([kind.instruction + text for text in texts], self.limit(kind))

    def limit(self, kind: Kind) -> int:
        """Return how many tokens a text of a kind may have, special ones included."""
        return min(kind.max_length, self.model.max_length)

    def _tokens(self, texts: Iterable[str], limit: int, instruction: str) -> Iterator[Tokens]:
        def tokenize(chunk: Sequence[str]) -> list[Tokens]:
            return self.tokenizer([instruction + text for text in chunk], limit)

        chunks = chunked(texts, size=_cost, budget=_CHARS)
        threads = min(self.lanes, 1)
        for tokens in overlapped(tokenize, chunks, threads=threads, ahead=_AHEAD):
            yield from tokens

    def _outputs(
        self, texts: Iterable[Ints], reps: Collection[Rep], advance: Callable[[int], object]
    ) -> Iterator[M3Output]:
        def compute(batch: _Batch) -> list[M3Output]:
            return self.model(batch.texts, reps)

        batches, later = tee(self._batches(texts))
        computed = overlapped(compute, batches, threads=self.lanes, ahead=self.lanes)
        waiting: dict[int, M3Output] = {}
        for batch, outputs in zip(later, computed, strict=True):
            waiting.update(zip(batch.places, outputs, strict=True))
            advance(len(outputs))
            if batch.closes:
                yield from (waiting.pop(place) for place in range(len(waiting)))

    def _batches(self, texts: Iterable[Ints]) -> Iterator[_Batch]:
        """Split a stream into windows, and each window, sorted by length, into batches."""
        for window in chunked(texts, size=len, budget=_WINDOW * self.batch_tokens):
            length = [len(ids) for ids in window].__getitem__
            longest_first = sorted(range(len(window)), key=length, reverse=True)
            left = len(window)
            for places in chunked(longest_first, size=length, budget=self.batch_tokens):
                left -= len(places)
                yield _Batch(places, [window[place] for place in places], closes=not left)


@dataclass(frozen=True, slots=True)
class _Batch:
    """Texts of a window, their positions in it, and whether they complete the window."""

    places: Sequence[int]
    texts: Sequence[Ints]
    closes: bool


def _cost(text: str) -> int:
    return max(len(text), _CHARS // 256)  # so that no more than 256 texts are read ahead
