"""The parts of a text that its matched tokens take up."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

Part: TypeAlias = tuple[str, int]
"""A part of a text and its level, 0 for plain text and 1 to 4 for a matched token."""

LEVELS = 4

_WINDOW = 48
"""Characters within which a token is looked for; what a tokenizer drops in between is skipped."""


def mark_tokens(
    text: str,
    tokens: Sequence[tuple[int, str]],
    weights: Mapping[int, float],
    *,
    highest: float | None = None,
) -> list[Part]:
    """
    Split a text into parts by the weights of its tokens; the parts add up to the text.

    Tokens are spelled in normalized characters, often in lower case, and without offsets: each is
    looked for behind the one before it, and one that is not there, such as `<unk>`, marks nothing.

    Args:
        text: As it was written.
        tokens: Token ids with their spelling, in order; `▁` begins a word.
        weights: What a token counts, by its id.
        highest: The weight of level 4; by default the highest of `weights`.
    """
    if highest is None:
        highest = max(weights.values(), default=0.0)
    parts: list[Part] = []
    end = 0
    for start, stop, id_ in _spans(text, tokens):
        level = math.ceil(LEVELS * weights.get(id_, 0.0) / highest) if highest > 0 else 0
        if level < 1:
            continue
        if start > end:
            parts.append((text[end:start], 0))
        parts.append((text[start:stop], level))
        end = stop
    if end < len(text):
        parts.append((text[end:], 0))
    return parts


def _spans(text: str, tokens: Sequence[tuple[int, str]]) -> Iterator[tuple[int, int, int]]:
    """Yield start, stop and id of each token that the text spells, without overlaps."""
    normalized, places = _normalized(text)
    cursor = 0
    for id_, spelling in tokens:
        wanted = _fold(spelling.removeprefix("▁").removeprefix("##"))
        if not wanted:
            continue
        at = normalized.find(wanted, cursor, cursor + _WINDOW + len(wanted))
        if at < 0:
            continue
        cursor = at + len(wanted)
        start, stop = places[at], places[cursor - 1] + 1
        yield start, stop, id_
        while cursor < len(places) and places[cursor] < stop:
            cursor += 1  # the rest of a character that became several


def _normalized(text: str) -> tuple[str, list[int]]:
    """Return a text as tokenizers compare it, and the place in `text` of each character."""
    characters: list[str] = []
    places: list[int] = []
    for place, character in enumerate(text):
        folded = _fold(character)
        characters.append(folded)
        places.extend([place] * len(folded))
    return "".join(characters), places


def _fold(text: str) -> str:
    return unicodedata.normalize("NFKC", text).lower()
