"""Answers that fit into an agent's context, and say what they leave out."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from m3kit.records import Document

_BYTES = 3
"""Of UTF-8 in a token, cautiously: tokenizers of language models have 3 to 5."""

_ENVELOPE = 80
"""Tokens for what stands around the documents, and says what was left out."""

_LEAST = 16
"""Tokens of text below which a document is left out rather than cut."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """
    What of a list fits.

    Args:
        entries: As JSON.
        cut: How many of their texts are cut.
        bare: How many have lost their metadata.
        skipped: How many are not among them.
    """

    entries: list[dict[str, Any]]
    cut: int
    bare: int
    skipped: int

    @property
    def left_out(self) -> str | None:
        """A sentence on what is not there; None if all is."""
        parts = []
        if self.skipped:
            parts.append(f"{self.skipped} documents: ask for fewer")
        if self.cut:
            parts.append(
                f"the rest of {self.cut} texts: get with its id and next_offset as offset goes on"
            )
        if self.bare:
            parts.append(f"the metadata of {self.bare} documents, which is too long")
        return "; ".join(parts) or None


def count_tokens(value: object) -> int:
    """
    Count the tokens of a value as JSON, or of a text, cautiously.

    Language models differ; three bytes of UTF-8 are a token here, of which theirs have more.
    """
    text = value if isinstance(value, str) else compact_json(value)
    return -(-len(text.encode()) // _BYTES)


def compact_json(value: object) -> str:
    """Write JSON in the form that has the fewest tokens."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def fit_documents(
    documents: Sequence[tuple[Document, Mapping[str, Any]]], limit: int, *, offset: int = 0
) -> Fitted:
    """
    Write documents as JSON of at most `limit` tokens, those that come first before others.

    Each has an equal share, and leaves to the others what it does not need. A text that is longer
    is cut, and `next_offset` says where it goes on.

    Args:
        documents: Documents, each with what else to say of it.
        limit: Tokens, of `count_tokens`.
        offset: Where texts begin, in characters.
    """
    left = limit - _ENVELOPE
    entries: list[dict[str, Any]] = []
    cut = bare = 0
    for position, (document, more) in enumerate(documents):
        share = left // (len(documents) - position)
        entry = _fit(document, more, share, offset)
        if entry is None:
            continue
        entries.append(entry)
        cut += "next_offset" in entry
        bare += "metadata" not in entry
        left -= count_tokens(entry) + 1
    return Fitted(entries, cut, bare, len(documents) - len(entries))


def fit_list(entries: Iterable[Any], limit: int) -> list[Any]:
    """Return those of the first entries that fit into `limit` tokens together."""
    fitting, left = [], limit
    for entry in entries:
        left -= count_tokens(entry) + 1
        if left < 0:
            break
        fitting.append(entry)
    return fitting


def fit_lists(answer: Mapping[str, Any], names: Sequence[str], limit: int) -> dict[str, Any]:
    """
    Cut the lists of an answer, so that it fits into `limit` tokens and says what is left out.

    Args:
        answer: JSON, of which all but the lists fits.
        names: Which of its keys have lists, the most important entries first; they share what
            room there is.
        limit: Tokens, of `count_tokens`.
    """
    fitting = {name: value for name, value in answer.items() if name not in names}
    share = (limit - _ENVELOPE - count_tokens(fitting)) // len(names)
    fitting |= {name: fit_list(answer[name], share) for name in names}
    more = {name: len(answer[name]) - len(fitting[name]) for name in names}
    if any(more.values()):
        fitting["left_out"] = ", ".join(f"{n} {name}" for name, n in more.items() if n)
    return fitting


def _fit(
    document: Document, more: Mapping[str, Any], share: int, offset: int
) -> dict[str, Any] | None:
    """Write a document in at most `share` tokens: whole, cut, without metadata, or not at all."""
    text = document.text[offset:]
    whole = {**more, "id": document.id, "text": text, "metadata": document.metadata}
    if count_tokens(whole) <= share:
        return whole
    for head in (whole, {name: value for name, value in whole.items() if name != "metadata"}):
        if count_tokens(head) <= share:
            return head
        length = _fitting_length(head, text, share, offset)
        if length > 0 and count_tokens(text[:length]) >= _LEAST:
            return _cut(head, text, length, offset)
    return None


def _cut(head: Mapping[str, Any], text: str, length: int, offset: int) -> dict[str, Any]:
    return {
        **head,
        "text": text[:length],
        "next_offset": offset + length,
        "characters": offset + len(text),
    }


def _fitting_length(head: Mapping[str, Any], text: str, share: int, offset: int) -> int:
    """Return how many characters of a text fit, below 0 if not even the rest does."""
    room = share - count_tokens(_cut(head, text, 0, offset + len(text)))
    most = range(min(len(text), _BYTES * max(room, 0)) + 1)
    return (
        bisect_right(most, room, key=lambda length: count_tokens(compact_json(text[:length]))) - 1
    )
