"""
What a row carries beside its vectors, and the words by which filters find it.

The metadata is one JSON text, so that it comes back exactly. Filters go by fields that are made
from it, and hold hexadecimal digits, letters and integers alone: nothing that anybody wrote is
ever part of an expression, where engines differ in what they take for a quote or a wildcard.

    key       The digest of the id, the primary key: ids are any text of any length.
    terms     A digest of each thing that a document says: `["is","lang","de"]`,
              `["in","tags","a"]`, `["has","lang"]`, `["number","year"]`, `["string","lang"]`. Types
              and numbers have one spelling, so that equal is equal.
    $meta     Dynamic fields, named by the digest of a field of the metadata and one letter more:
              `…H` and `…L`, the order of all numbers in two integers (engines compare ranges as
              64-bit floats, which confuse integers above 2⁵³); `…S`, a string spelled in letters,
              in which substrings are sought.
    partition Where the collection is divided by a field of the metadata: the digest of
              `["is",field,value]`, or of `["is",field]` where the field holds no scalar.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Literal, TypeAlias

from m3kit.adapters.filter_terms import Says, by_value, facts, is_number, is_scalar, order
from m3kit.index import DocumentError
from m3kit.records import Document
from m3kit_milvus.whole import Whole

TermsType: TypeAlias = Literal["text", "array"]
"""
How `terms` are kept.

Milvus Lite reads arrays row by row in Python and texts at the speed of Arrow, twenty times as fast;
a server has an index for arrays and none for a text.
"""

TEXT_BYTES = 65_535
"""What a VARCHAR of Milvus holds, and what the dynamic fields of one row may take."""

TERM_CHARS = 32
MOST_TERMS: Mapping[TermsType, int] = {"text": 1_900, "array": 4_096}

PARTITION = "partition"

DOCUMENT_FIELDS = ("id", "text", "metadata")
"""What a document is read from."""

_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode

_SPELLING = {
    byte: f"{chr(ord('a') + (byte >> 4))}{chr(ord('A') + (byte & 15))}" for byte in range(256)
}


def key(id_: str) -> str:
    """Name a row; the true id is in a field of its own."""
    return _digest(id_)


def to_row(document: Document, terms_type: TermsType) -> dict[str, Any]:
    """
    Write a document as a row without vectors.

    Raises:
        DocumentError: If Milvus cannot hold it.
    """
    terms = list(dict.fromkeys(_terms(document.metadata)))
    sought = _sought(document.metadata)
    texts = {"id": document.id, "text": document.text, "metadata": _json(document.metadata)}
    for what, text in (*texts.items(), ("metadata, as filters read it,", _json(sought))):
        _check(document.id, f"{what} takes", len(text.encode()), "bytes", TEXT_BYTES)
    _check(document.id, "metadata has", len(terms), "values", MOST_TERMS[terms_type])
    whole = {name: Whole(text) for name, text in texts.items()}
    kept = Whole(" ".join(terms)) if terms_type == "text" else terms
    return {"key": key(document.id), **whole, "terms": kept, **sought}


def to_document(row: Mapping[str, Any]) -> Document:
    """Read a document from its row."""
    return Document(row["id"], row["text"], json.loads(row["metadata"]))


def term(says: Says | Literal["number", "string"], field: str, *value: object) -> str:
    """Name one thing that a document says of a field; `1` and `1.0` have one name."""
    return _digest(_json([says, field, *map(by_value, value)])) if value else _of_field(says, field)


def partition(document: Document, field: str) -> str:
    """Name the part of a collection that a document is in."""
    value = document.metadata.get(field)
    return term("is", field, value) if is_scalar(value) else term("is", field)


def fact(field: str, letter: Literal["H", "L", "S"]) -> str:
    """Name a dynamic field, which begins with a letter."""
    return f"f{_named(field)}{letter}"


def letters(text: str) -> str:
    """
    Spell a text in letters: what is part of the text, and nothing else, is part of its letters.

    Each byte of UTF-8 is a small and a capital letter, so that no part begins within a byte.
    """
    return "".join(_SPELLING[byte] for byte in text.encode())


def _terms(metadata: Mapping[str, Any]) -> Iterator[str]:
    yield from (term(says, field, *value) for says, field, value in facts(metadata))
    for field, value in metadata.items():
        if isinstance(value, str):
            yield term("string", field)
        elif is_number(value):
            yield term("number", field)


def _sought(metadata: Mapping[str, Any]) -> dict[str, Any]:
    sought: dict[str, Any] = {}
    for field, value in metadata.items():
        if isinstance(value, str):
            sought[fact(field, "S")] = letters(value)
        elif is_number(value):
            sought[fact(field, "H")], sought[fact(field, "L")] = order(value)
    return sought


@lru_cache(maxsize=4_096)
def _of_field(says: str, field: str) -> str:
    return _digest(_json([says, field]))


@lru_cache(maxsize=4_096)
def _named(field: str) -> str:
    return _digest(field)


def _digest(text: str) -> str:
    return blake2b(text.encode(), digest_size=TERM_CHARS // 2).hexdigest()


def _check(id_: str, what: str, found: int, unit: str, limit: int) -> None:
    if found > limit:
        name = id_ if len(id_) <= 100 else f"{id_[:100]}…"
        raise DocumentError(
            f"document {name!r} is too large: its {what} {found} {unit}, and Milvus holds {limit}; "
            "split the document, or shorten it"
        )
