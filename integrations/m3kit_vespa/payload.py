"""
What a document is in Vespa: fields beside its vectors.

The metadata is one JSON text, so that it comes back exactly; Vespa's own answers leave out empty
strings and lists. Filters go by fields that are made from it:

    key       The digest of the id, and the document's name in Vespa. An id may hold anything, where
              Vespa reads `a/../b` as `b`.
    terms     A digest of each thing that a document says: `["is","lang","de"]`,
              `["in","tags","a"]`, `["has","lang"]`. Types and numbers have one spelling, so that
              equal is equal, and every field is served, declared or not.
    lang …    An attribute for each declared field, of its type and by its name: what ranges and
              substrings go by, and queries of your own.
    …_rest    How far an integer is from the double of a field declared `float`.
    salt      A number from the digest, by which rank profiles tell whether two documents tie.

Vespa refuses some characters, most of them controls. They are spelled in others, of the private use
area, and so are those others: what is part of a text is part of its spelling, and nothing else is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, assert_never

from m3kit.adapters.filter_terms import Says, by_value, facts, is_number
from m3kit.index import DocumentError
from m3kit.records import Document
from m3kit_vespa.shape import Kind, Shape, rest

DOCUMENT_FIELDS = ("id", "text", "metadata")
"""What a document is read from."""

_MARK = "\ue000"
_DIGITS = "".join(map(chr, range(0xE001, 0xE011)))
_REFUSED = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\ufdd0-\ufdef\ue000-\ue010"
    + "".join(chr((plane << 16) + end) for plane in range(17) for end in (0xFFFE, 0xFFFF))
    + "]"
)
_SPELLED = re.compile(f"{_MARK}([{_DIGITS}]{{6}})")

_LOWEST = -(2**63)

_json = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


def key(id_: str) -> str:
    """Name a document; the true id is in a field of its own."""
    return _digest(id_)


def to_fields(document: Document, shape: Shape) -> dict[str, Any]:
    """
    Write a document as fields, without vectors.

    Raises:
        DocumentError: If an attribute cannot hold the value of its field.
    """
    name = key(document.id)
    return {
        "key": name,
        "id": spelled(document.id),
        "text": spelled(document.text),
        "metadata": _json(document.metadata),
        "terms": list(
            dict.fromkeys(term(says, of, *value) for says, of, value in facts(document.metadata))
        ),
        "salt": int(name[:8], 16) >> 1,
        **_attributes(document, shape),
    }


def to_document(fields: Mapping[str, Any]) -> Document:
    """Read a document from its fields; an answer leaves out an empty text."""
    return Document(
        read(fields["id"]), read(fields.get("text", "")), json.loads(fields["metadata"])
    )


def term(says: Says, field: str, *value: object) -> str:
    """Name one thing that a document says of a field; `1` and `1.0` have one name."""
    return _digest(_json([says, field, *map(by_value, value)]))


def spelled(text: str) -> str:
    """Write a text in characters that Vespa takes."""
    return _REFUSED.sub(_spelling, text)


def read(text: str) -> str:
    """Read what `spelled` wrote."""
    return _SPELLED.sub(_character, text)


def _attributes(document: Document, shape: Shape) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for of, kind, name in shape.attributes():
        value = document.metadata.get(of)
        if kind == "float" and is_number(value):
            near = float(value)
            kept[name] = near
            kept[rest(name)] = int(value) - int(near) if isinstance(value, int) else 0
        elif (attribute := _attribute(document.id, of, kind, value)) is not None:
            kept[name] = attribute
    return kept


def _attribute(id_: str, of: str, kind: Kind, value: object) -> Any:
    """Return what an attribute holds of a value; None of a value of another kind."""
    match kind:
        case "str":
            return spelled(value) if isinstance(value, str) else None
        case "bool":
            return value if isinstance(value, bool) else None
        case "int":
            return _whole(id_, of, value) if is_number(value) else None
        case "strs":
            return [spelled(one) for one in _list(value) if isinstance(one, str)]
        case "ints":
            return [int(one) for one in _list(value) if is_number(one) and one == int(one)]
        case "float":
            return None
        case _:
            assert_never(kind)


def _whole(id_: str, of: str, number: float) -> int:
    if number != int(number) or not _LOWEST < number < -_LOWEST:
        raise DocumentError(
            f"document {id_!r} holds {number!r} in {of!r}, which is declared int, and Vespa's "
            f"integers are whole and of 64 bits; declare it {of!r}: float"
        )
    return int(number)


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _spelling(found: re.Match[str]) -> str:
    return _MARK + "".join(_DIGITS[int(digit, 16)] for digit in f"{ord(found[0]):06x}")


def _character(found: re.Match[str]) -> str:
    return chr(int("".join(f"{_DIGITS.index(digit):x}" for digit in found[1]), 16))


def _digest(text: str) -> str:
    return blake2b(text.encode(), digest_size=16).hexdigest()
