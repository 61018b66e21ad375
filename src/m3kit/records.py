"""What goes into an index and what comes out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self, TypeAlias

from m3kit.vectors import REPS, M3Output, Rep

Json: TypeAlias = "str | int | float | bool | Sequence[Json] | Mapping[str, Json] | None"
"""Metadata: finite numbers, integers of 64 bits, lists, and objects with string keys."""

DEEPEST = 64
"""How many levels of lists and objects metadata may have."""


@dataclass(frozen=True, slots=True)
class Document:
    """
    A text under an id, with metadata that comes back exactly as it went in.

    The metadata is copied, so that nothing the caller does to his own dict reaches an index.

    Args:
        id: Not empty; any text.
        text: What is encoded and shown; may be empty.
        metadata: JSON. Filters reach scalars and lists of scalars at its top level.

    Raises:
        TypeError: If the metadata holds what JSON cannot say.
        ValueError: If the id is empty, a number is not finite or wider than 64 bits, a value is
            nested deeper than `DEEPEST` levels, or a text holds a lone surrogate, which no engine
            can store.
    """

    id: str
    text: str
    metadata: Mapping[str, Json] = field(default_factory=dict)

    def __hash__(self) -> int:
        return hash((self.id, self.text))

    def __post_init__(self) -> None:
        if not isinstance(self.id, str) or not isinstance(self.text, str):
            raise TypeError(f"a document's id and text are strings, not {self.id!r}, {self.text!r}")
        if not self.id:
            raise ValueError("a document's id is empty")
        check_text(self.id, "the id")
        check_text(self.text, f"the text of document {self.id!r}")
        if not isinstance(self.metadata, Mapping):
            raise TypeError(f"the metadata of document {self.id!r} is not a mapping")
        try:
            copied = {_key(key): _copied(value, 1) for key, value in self.metadata.items()}
        except (TypeError, ValueError) as error:
            error.add_note(f"in the metadata of document {self.id!r}")
            raise
        object.__setattr__(self, "metadata", copied)

    @classmethod
    def parsed(cls, id_: str, text: str, metadata: Mapping[str, Json]) -> Self:
        """
        Make a document of what an engine parsed from its JSON, without checking or copying it.

        Args:
            id_: The id.
            text: The text.
            metadata: Python's own types, which nothing else refers to.
        """
        document = cls.__new__(cls)
        object.__setattr__(document, "id", id_)
        object.__setattr__(document, "text", text)
        object.__setattr__(document, "metadata", metadata)
        return document


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """A document with its vectors: the unit of writing and of reading back."""

    document: Document
    output: M3Output


@dataclass(frozen=True, slots=True)
class Hit:
    """
    A document that was found.

    Args:
        document: As it was written.
        score: Higher is better, everywhere.
        scores: Each representation's own score, where `Search.with_scores` asked for it.
    """

    document: Document
    score: float
    scores: Mapping[Rep, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Json]:
        """Return it as the command line and the server print it: JSON with plain keys."""
        return {
            "id": self.document.id,
            "score": self.score,
            "scores": {rep: self.scores[rep] for rep in REPS if rep in self.scores},
            "text": self.document.text,
            "metadata": self.document.metadata,
        }

    def _repr_html_(self) -> str:
        from m3kit._html import hit_card  # its style sheet is read where a notebook shows a hit

        return hit_card(
            id_=self.document.id,
            text=self.document.text,
            metadata=self.document.metadata,
            score=self.score,
            scores=self.scores,
        )


def check_text(text: str, what: str) -> None:
    """Refuse a text that UTF-8 cannot say, naming `what` it is and the remedy."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"{what} holds a lone surrogate at character {error.start}, which no engine can store; "
            "repair it with text.encode('utf-16', 'surrogatepass').decode('utf-16', 'replace')"
        ) from None


def plain_text(text: str) -> str:
    """Return Python's own string of what may be a subclass: a member of an enum is its value."""
    return str.__str__(text)  # str(text) would name a member of `class Lang(str, Enum)`


def check_number(number: float) -> None:
    """Refuse a number that JSON or 64 bits cannot hold."""
    if isinstance(number, int):
        if not -(2**63) <= number < 2**63:
            raise ValueError(f"{number} does not fit into 64 bits; keep it as a string")
    elif not math.isfinite(number):
        raise ValueError(f"{number} is not finite, which JSON cannot say; leave it out")


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise TypeError(f"the key {key!r} is not a string")
    check_text(key, f"the key {key!r}")
    return plain_text(key)


def _copied(value: Json, depth: int) -> Json:
    """Copy a JSON value into Python's own types: no subclass, no view of the caller's lists."""
    if depth > DEEPEST:
        raise ValueError(f"a value is nested deeper than {DEEPEST} levels; flatten it")
    match value:
        case None | bool():
            return value
        case str():
            check_text(value, "a value")
            return plain_text(value)
        case int():
            check_number(value)
            return int(value)
        case float():
            check_number(value)
            return float(value)
        case list():
            return [_copied(item, depth + 1) for item in value]
        case Mapping():
            return {_key(key): _copied(item, depth + 1) for key, item in value.items()}
        case _:
            raise TypeError(
                f"{value!r} ({type(value).__name__}) is not JSON; "
                "use str, int, float, bool, None, list or dict"
            )
