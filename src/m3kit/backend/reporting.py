"""What a call reports besides its results: truncated texts, and its progress."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from m3kit._truncation import Truncation, report
from m3kit.backend.tokenizer import Tokens
from m3kit.vectors import Ints


class Cuts:
    """
    Counts a call's texts and the truncated ones, for a single warning.

    Args:
        limit: How many tokens a text may have.
        remedy: What the caller can do about it.
    """

    def __init__(self, limit: int, remedy: str) -> None:
        self._limit = limit
        self._remedy = remedy
        self._texts = self._cut = self._longest = 0

    def watch(self, texts: Iterable[Tokens]) -> Iterator[Ints]:
        """Hand on the ids of each text and count it."""
        for tokens in texts:
            self._texts += 1
            self._cut += tokens.full > self._limit
            self._longest = max(self._longest, tokens.full)
            yield tokens.ids

    def report(self) -> None:
        """Report to `m3kit._truncation`, which warns if texts were truncated."""
        report(Truncation(self._texts, self._cut, self._longest, self._limit, self._remedy))


@contextmanager
def progress(*, total: int | None, shown: bool) -> Iterator[Callable[[int], object]]:
    """Yield a function to call with the number of texts done; if `shown`, it moves a bar."""
    if not shown:
        yield lambda _: None
        return
    from tqdm import tqdm  # type: ignore[import-untyped]  # it ships no types

    with tqdm(total=total, unit=" texts") as bar:
        yield bar.update
