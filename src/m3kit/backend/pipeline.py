"""From texts to outputs in bounded memory: read, tokenize, sort, compute, restore the order."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from m3kit.backend.reporting import Cuts, progress
from m3kit.backend.tokenizer import SPECIAL_TOKENS, TextTokenizer, Tokens
from m3kit.batches import chunked
from m3kit.vectors import Ints, M3Output, Rep

_WINDOW = 8  # batches whose texts are sorted by length together
_CHARS = 2**16  # characters tokenized together


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
        """What it gives."""
        ...

    def __call__(self, texts: Sequence[Ints], reps: Collection[Rep], /) -> list[M3Output]:
        """Encode the token ids of a batch, computing `reps` and nothing else."""
        ...


@dataclass(frozen=True, slots=True)
class Kind:
    """
    How one kind of text is treated.

    Args:
        option: The name of the option that limits it, for the user's eyes.
        max_length: At most so many tokens, the two special ones included.
        instruction: What goes in front.

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
        tokenizer: Cuts texts to their limit.
        batch_tokens: Tokens in one batch; a longer text is alone in its own.
        progress: Whether to show a bar.
    """

    model: Model
    tokenizer: TextTokenizer
    batch_tokens: int
    progress: bool

    def __call__(
        self, texts: Iterable[str], reps: Collection[Rep], kind: Kind, *, total: int | None
    ) -> Iterator[M3Output]:
        """Encode texts as they are read, in order; `total` is for the bar."""
        longest = self.model.max_length
        limit = self._limit(kind)
        raising = f"raise {kind.option} or " if limit < longest else ""
        cuts = Cuts(limit, f"{raising}split them")
        tokens = cuts.watch(self._tokens(texts, limit, kind.instruction))
        with progress(total=total, shown=self.progress) as advance:
            try:
                for window in chunked(tokens, size=len, budget=_WINDOW * self.batch_tokens):
                    yield from self._outputs(window, reps, advance)
            finally:
                cuts.say()

    def tokens(self, text: str, kind: Kind) -> list[tuple[int, str]]:
        """Return id and text of each token of one text, as the model reads it."""
        (tokens,) = self.tokenizer([kind.instruction + text], self._limit(kind))
        return self.tokenizer.spelled(tokens.ids)

    def _limit(self, kind: Kind) -> int:
        return min(kind.max_length, self.model.max_length)

    def _tokens(self, texts: Iterable[str], limit: int, instruction: str) -> Iterator[Tokens]:
        for some in chunked(texts, size=_cost, budget=_CHARS):
            yield from self.tokenizer([instruction + text for text in some], limit)

    def _outputs(
        self, texts: Sequence[Ints], reps: Collection[Rep], advance: Callable[[int], object]
    ) -> Iterator[M3Output]:
        def length(number: int) -> int:
            return len(texts[number])

        outputs: dict[int, M3Output] = {}
        longest_first = sorted(range(len(texts)), key=length, reverse=True)
        for batch in chunked(longest_first, size=length, budget=self.batch_tokens):
            outputs.update(zip(batch, self.model([texts[n] for n in batch], reps), strict=True))
            advance(len(batch))
        return (outputs.pop(number) for number in range(len(texts)))


def _cost(text: str) -> int:
    return max(len(text), _CHARS // 256)  # so that no more than 256 texts are read ahead
