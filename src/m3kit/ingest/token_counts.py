"""Counting tokens again and again in overlapping parts of a text, as a splitter does."""

from __future__ import annotations

from m3kit.backend.tokenizer import TextTokenizer

_WORD = 64
"""Characters of a word that is remembered with its count."""

_WORDS = 2**18
"""How many words are remembered."""

_CHARS_PER_TOKEN = 16
"""A text of more is counted in its beginning first, which is mostly beyond the limit already."""


class TokenCounter:
    """
    Counts the tokens of texts, special ones not included.

    Most of the time is that of the tokenizer, so it is asked once for each word.

    Args:
        tokenizer: The model's.
        limit: Of a text with more, the number is any above the limit.
    """

    def __init__(self, tokenizer: TextTokenizer, limit: int) -> None:
        self._tokenizer = tokenizer
        self._limit = limit
        self._known: dict[str, int] = {}

    def __call__(self, text: str) -> int:
        """Return the number of tokens."""
        head = text[: _CHARS_PER_TOKEN * self._limit]
        count = self._count(head)
        return count if count > self._limit or len(head) == len(text) else self._count(text)

    def _count(self, text: str) -> int:
        if len(self._known) > _WORDS:
            self._known.clear()
        known, parts = self._known, self._tokenizer.parts(text)
        new = list({part for part in parts if part not in known})
        counts = dict(zip(new, self._tokenizer.lengths(new), strict=True))
        total = sum(known[part] if part in known else counts[part] for part in parts)
        known.update((part, count) for part, count in counts.items() if len(part) <= _WORD)
        return total
