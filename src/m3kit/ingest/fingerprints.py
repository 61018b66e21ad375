"""What a ledger knows of a document: its source, and hashes of its text and metadata."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Self, TypeAlias

from m3kit.ingest.documents import Reject, SourceDocument
from m3kit.records import Document

_BYTES = 16
_JSON = json.JSONEncoder(sort_keys=True, ensure_ascii=True, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """
    A document without its content.

    Args:
        id: Its id.
        source: The path of its file below the source as given; empty without a file.
        text: The hash of its text, 16 bytes.
        metadata: The hash of its metadata, whatever the order of its keys, 16 bytes.
    """

    id: str
    source: str
    text: bytes
    metadata: bytes

    @classmethod
    def of(cls, document: Document) -> Self:
        """Hash a document."""
        source = document.source if isinstance(document, SourceDocument) else ""
        metadata = _JSON.encode(document.metadata)
        return cls(document.id, source, _hash(document.text), _hash(metadata))


Read: TypeAlias = "tuple[Document | Reject, Fingerprint | None]"
"""What was read, and the fingerprint of a document."""


def with_fingerprints(items: Iterable[Document | Reject]) -> list[Read]:
    """Hash the documents among items that were read, in the thread that reads."""
    return [(item, Fingerprint.of(item) if isinstance(item, Document) else None) for item in items]


def is_positional(id_: str, source: str) -> bool:
    """Tell whether an id is the place of a document in its file, and not one that it brought."""
    return bool(source) and (id_ == source or id_.startswith(f"{source}#"))


def recipe(model: str | None, chunking: str = "") -> str:
    """Return how documents are encoded, as a ledger has it: model and chunking."""
    return f"{(model or '').rpartition('@')[2]} {chunking}"


def is_split(recipe: str | None) -> bool:
    """Tell whether a document is a passage of another, by the `recipe` it was written by."""
    return recipe is not None and not recipe.endswith(" ")


def relatives(id_: str) -> list[str]:
    """Return what a passage may be called if it is split otherwise: whole, or the first."""
    parent, _, position = id_.rpartition("#")
    first = [f"{id_}#1"]
    return [*first, parent, f"{parent}#1"] if parent and position.isdecimal() else first


def _hash(text: str) -> bytes:
    return blake2b(text.encode(), digest_size=_BYTES).digest()
