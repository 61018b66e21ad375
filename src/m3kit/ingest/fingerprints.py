"""What a ledger knows of a document: its source, and hashes of its text and metadata."""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import blake2b
from typing import Self

from m3kit.ingest.documents import SourceDocument
from m3kit.records import Document

_BYTES = 16


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
        metadata = json.dumps(
            document.metadata, sort_keys=True, ensure_ascii=True, separators=(",", ":")
        )
        return cls(document.id, source, _hash(document.text), _hash(metadata))


def is_positional(id_: str, source: str) -> bool:
    """Tell whether an id is the place of a document in its file, and not one that it brought."""
    return bool(source) and (id_ == source or id_.startswith(f"{source}#"))


def _hash(text: str) -> bytes:
    return blake2b(text.encode(), digest_size=_BYTES).digest()
