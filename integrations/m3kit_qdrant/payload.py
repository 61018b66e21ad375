"""
What a point carries beside its vectors, and the words by which filters find it.

The metadata is one JSON text, because a payload of its own shape would not come back exactly:
Qdrant Edge loses the last bit of some floats, and an object nested deeper than 127 levels leaves a
log that it cannot read again. Filters go by three plain fields that are made from it:

    terms     What a document says, a JSON text each: `["is","lang","de"]`, `["in","tags","a"]`,
              `["has","lang"]`. Types and numbers have one spelling, so that equal is equal, and
              one keyword index over this one field serves every field of the metadata.
    numbers   `{"year": …}`: the order of all numbers in two integers, of which this is the first.
              The engines compare ranges as 64-bit floats, which confuse integers above 2⁵³.
    rests     The second integer of those numbers of which the first does not say it all.
    strings   `{"lang": "de"}`: what substrings are sought in.

What would be empty is left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from hashlib import blake2b, sha1
from json.encoder import encode_basestring
from typing import Any
from uuid import UUID

from m3kit.adapters.filter_terms import ROUND, Says, by_value, facts, is_number, order
from m3kit.records import Document

_SPACE = UUID("0ecb3909-3ca9-570b-a51f-29b55f7c4f02").bytes
_LONG = 200
_WORD = re.compile("[A-Za-z0-9_-]+")

_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


def point_id(id_: str) -> str:
    """Name a point by a UUID of version 5: engines take no text, which the payload holds."""
    digest = sha1(_SPACE + id_.encode(), usedforsecurity=False).hexdigest()
    variant = "89ab"[int(digest[16], 16) & 3]
    return f"{digest[:8]}-{digest[8:12]}-5{digest[13:16]}-{variant}{digest[17:20]}-{digest[20:32]}"


def path_to(*names: str) -> str:
    """Spell the path to a field as a server spells it back: names are quoted where needed."""
    return ".".join(name if _WORD.fullmatch(name) else f'"{name}"' for name in names)


def to_payload(document: Document) -> dict[str, Any]:
    """Write a document as the payload of its point."""
    metadata = document.metadata
    payload: dict[str, Any] = {
        "id": document.id,
        "text": document.text,
        "metadata": _json(metadata),
    }
    if metadata:
        orders = {field: order(value) for field, value in metadata.items() if is_number(value)}
        found = {
            "terms": list({term(says, of, *value): None for says, of, value in facts(metadata)}),
            "numbers": {field: high for field, (high, _) in orders.items()},
            "rests": {field: low for field, (_, low) in orders.items() if low != ROUND},
            "strings": {field: one for field, one in metadata.items() if isinstance(one, str)},
        }
        payload.update((name, own) for name, own in found.items() if own)
    return payload


def to_document(payload: Mapping[str, Any]) -> Document:
    """Read a document from the payload of its point."""
    return Document(payload["id"], payload["text"], json.loads(payload["metadata"]))


def term(says: Says, field: str, *value: object) -> str:
    """
    Spell one thing that a document says of a field.

    Numbers are spelled by value (`1` and `1.0` alike), and a long string by its digest.
    """
    if not value:
        return f'["{says}",{encode_basestring(field)}]'
    ((own,),) = (value,)
    return f'["{says}",{encode_basestring(field)},{_spelled(own)}]'


def _spelled(value: object) -> str:
    match by_value(value):
        case str(text) if len(text) <= _LONG:
            return encode_basestring(text)
        case str(text):
            return _json({"blake2b": blake2b(text.encode(), digest_size=16).hexdigest()})
        case int(whole) if not isinstance(whole, bool):
            return str(whole)
        case other:
            return _json(other)
