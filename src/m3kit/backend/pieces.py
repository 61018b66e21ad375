"""Long texts in pieces whose tokens, one after the other, are those of the whole."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TypeAlias

Divide: TypeAlias = Callable[[str], Iterator[str]]

PIECE = 2**16
"""About how many characters a piece has."""

_LONGEST = 4 * PIECE
"""How many characters a word has at least before it is divided: more than a model reads."""

_SPACE = re.compile(r"(?<=\S)[ \n](?=[^\W\u0e33\u0eb3])")
"""
A single space or end of a line before a letter, a digit or an underscore.

Accents and the two vowels that are excepted would be one character with the space.
"""


def divided(text: str) -> Iterator[str]:
    """
    Divide a text between words, for a tokenizer that sees each word by itself.

    A single word is not divided, whatever its length.
    """
    return _pieces(text, longest=len(text))


def divided_anywhere(text: str) -> Iterator[str]:
    """
    Divide a text between words, and a word of hundreds of thousands of characters anywhere.

    There, far beyond what a model reads, the number of tokens may be off by a few.
    """
    return _pieces(text, longest=_LONGEST)


def words(text: str) -> list[str]:
    """Divide a text at every place where it may be, for a tokenizer as that of `divided`."""
    return _SPACE.split(text)


def _pieces(text: str, longest: int) -> Iterator[str]:
    start = 0
    while len(text) - start > PIECE:
        space = _SPACE.search(text, start + PIECE, start + longest)
        end = space.start() if space else start + longest
        if end >= len(text):
            break
        yield text[start:end]
        start = end
    yield text[start:]
