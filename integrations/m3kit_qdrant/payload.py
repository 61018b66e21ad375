"""
What a point carries beside its vectors, and the words by which filters find it.

The metadata is one JSON text, because a payload of its own shape would not come back exactly:
Qdrant Edge loses the last bit of some floats, and an object nested deeper than 127 levels leaves a
log that it cannot read again. Filters go by three plain fields that are made from it:

    terms     What a document says, a JSON text each: `["is","lang","de"]`, `["in","tags","a"]`,
              `["has","lang"]`. Types and numbers have one spelling, so that equal is equal, and
              one keyword index over this one field serves every field of the metadata.
    numbers   `{"year": {"high": …, "low": …}}`: the order of all numbers in two integers. The
              engines compare ranges as 64-bit floats, which confuse integers above 2⁵³.
    strings   `{"lang": "de"}`: what substrings are sought in.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from hashlib import blake2b
from struct import pack, unpack
from typing import Any, Literal
from uuid import UUID, uuid5

from m3kit.records import Document

_SPACE = UUID("0ecb3909-3ca9-570b-a51f-29b55f7c4f02")
_LONG = 200

_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode

EXACT = 2**53
"""Integers below this are floats too."""

ROUND = 2**10
"""The second half of `order` for a number whose first half says it all, such as 2024 or 0.5."""


def point_id(id_: str) -> str:
    """Name a point: engines take UUIDs only, so the true id is in the payload."""
    return str(uuid5(_SPACE, id_))


def to_payload(document: Document) -> dict[str, Any]:
    """Write a document as the payload of its point."""
    metadata = document.metadata
    return {
        "id": document.id,
        "text": document.text,
        "metadata": _json(metadata),
        "terms": list(dict.fromkeys(_terms(metadata))),
        "numbers": {
            field: dict(zip(("high", "low"), order(value), strict=True))
            for field, value in metadata.items()
            if isinstance(value, int | float) and not isinstance(value, bool)
        },
        "strings": {field: value for field, value in metadata.items() if isinstance(value, str)},
    }


def to_document(payload: Mapping[str, Any]) -> Document:
    """Read a document from the payload of its point."""
    return Document(payload["id"], payload["text"], json.loads(payload["metadata"]))


def term(says: Literal["is", "in", "has"], field: str, *value: object) -> str:
    """
    Spell one thing that a document says of a field.

    Numbers are spelled by value (`1` and `1.0` alike), and a long string by its digest.
    """
    return _json([says, field, *map(_spelled, value)])


def order(number: float) -> tuple[int, int]:
    """
    Place a number among all others: two integers below 2⁵³ that compare as the numbers do.

    The first is the upper half of the nearest float's bits; the second its lower half, and how far
    an integer of 64 bits is from that float.
    """
    near = float(number)
    rest = int(number) - int(near) if isinstance(number, int) else 0
    (bits,) = unpack(">q", pack(">d", near))
    if bits < 0:  # sign and magnitude, where integers order by two's complement
        bits = -(bits & (2**63 - 1))
    return bits >> 32, ((bits & (2**32 - 1)) << 11) + rest + ROUND


def _terms(metadata: Mapping[str, Any]) -> Iterator[str]:
    for field, value in metadata.items():
        if value is None or value == []:
            continue
        yield term("has", field)
        if _is_scalar(value):
            yield term("is", field, value)
        elif isinstance(value, list):
            yield from (term("in", field, one) for one in value if _is_scalar(one))


def _is_scalar(value: object) -> bool:
    return isinstance(value, str | int | float)


def _spelled(value: object) -> object:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and len(value) > _LONG:
        return {"blake2b": blake2b(value.encode(), digest_size=16).hexdigest()}
    return value
