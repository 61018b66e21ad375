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
import re
from collections.abc import Mapping
from hashlib import blake2b, sha1
from json.encoder import encode_basestring
from typing import Any
from uuid import UUID

from m3kit.facts import Says, by_value, facts, is_number, order
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
    return {
        "id": document.id,
        "text": document.text,
        "metadata": _json(metadata),
        "terms": list(dict.fromkeys(term(says, of, *value) for says, of, value in facts(metadata))),
        "numbers": {
            field: dict(zip(("high", "low"), order(value), strict=True))
            for field, value in metadata.items()
            if is_number(value)
        },
        "strings": {field: value for field, value in metadata.items() if isinstance(value, str)},
    }


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
    spelled = (
        encode_basestring(own)
        if isinstance(own, str) and len(own) <= _LONG
        else _json(_spelled(own))
    )
    return f'["{says}",{encode_basestring(field)},{spelled}]'


def _spelled(value: object) -> object:
    if isinstance(value, str) and len(value) > _LONG:
        return {"blake2b": blake2b(value.encode(), digest_size=16).hexdigest()}
    return by_value(value)
