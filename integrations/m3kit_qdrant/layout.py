r"""
How documents lie in points.

    {
      "page_content": "Print the spreadsheet",         FieldNames.text
      "metadata": {"lang": "en", "year": 2024},        FieldNames.metadata, as it was given
      "id": "report.txt",                              of an id that no point can have
      "m3kit_metadata": "{\"lang\":…}"                 of metadata that Qdrant would change
    }

A point's id is the document's, where Qdrant spells it back alike; any other document's point has a
UUID that is made from its id, which then stands in the payload. Qdrant changes the last bit of some
floats, and gRPC ends at some 30 levels of nesting: such metadata lies there rounded (`exactness`)
and cut, for others to read, beside its exact JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha1
from typing import Any
from uuid import UUID

from m3kit.adapters.field_names import FieldNames
from m3kit.filters import Field, field_path
from m3kit.index import DocumentError
from m3kit.records import Document
from m3kit_qdrant import nodes
from m3kit_qdrant.engine import NOTHING, Condition, Key, Selection
from m3kit_qdrant.exactness import is_near, is_stored_exactly, ordinary, to_json

M3KIT = FieldNames(
    text="page_content", metadata="metadata", dense="dense", sparse="sparse", colbert="colbert"
)
"""The names of a collection that m3kit creates."""

LANGCHAIN = FieldNames(
    text="page_content", metadata="metadata", dense="", sparse="langchain-sparse"
)
"""The default names of a hybrid `langchain_qdrant.QdrantVectorStore`."""

LLAMA_INDEX = FieldNames(text=nodes.CONTENT, dense="text-dense", sparse="text-sparse-new")
"""The default names of LlamaIndex's hybrid `QdrantVectorStore`."""

ID = "id"
"""The payload's field for an id that no point can have, unless `FieldNames.id` names another."""

EXACT = "m3kit_metadata"
"""The payload's field for the exact JSON of metadata that Qdrant would change."""

_NAMESPACE = UUID("0ecb3909-3ca9-570b-a51f-29b55f7c4f02").bytes
_LARGEST = 2**64
_WORD = re.compile(r"[\w-]+")


@dataclass(frozen=True, slots=True)
class Layout:
    """
    How documents lie in the points of a collection.

    Args:
        fields: The names of the payload's fields.
    """

    fields: FieldNames

    @property
    def is_keyed(self) -> bool:
        """Whether a document's id alone decides its point's."""
        return self.fields.id is None

    @property
    def id_selection(self) -> Selection:
        """The part of a payload that has the document's id, where the point has not."""
        return [path_to(self.fields.id or ID)]

    def has_id_in_payload(self, key: str) -> bool:
        """Tell whether the payload, and not the point's key alone, decides a document's id."""
        return self.fields.id is not None or _is_hash(key)

    def id(self, key: str, payload: Mapping[str, Any]) -> str:
        """Return the id of a point's document."""
        if self.fields.id is not None:
            return str(payload.get(self.fields.id, key))
        return _hashed_id(key, payload) or key if ID in payload else key

    def document(self, key: str, payload: Mapping[str, Any]) -> Document:
        """
        Read a document from its point.

        Args:
            key: The spelling of the point's key.
            payload: All of its payload.

        Raises:
            DocumentError: If the payload has something else where its text or metadata should be.
        """
        fields = self.fields
        text = payload.get(fields.text) or ""
        if fields.metadata is None:
            metadata = self._flat_metadata(key, payload)
        else:
            metadata = payload.get(fields.metadata) or {}
        if not isinstance(text, str):
            raise DocumentError(
                f"point {key} of the collection holds no text in {fields.text!r} but "
                f"{text!r:.80}; name its text's field: FieldNames(text=…)"
            )
        if not isinstance(metadata, dict):
            raise DocumentError(
                f"point {key} of the collection holds no metadata in {fields.metadata!r} but "
                f"{metadata!r:.80}; name the field that nests it: FieldNames(metadata=…)"
            )
        if text and fields.text == nodes.CONTENT:
            text = nodes.text_of(text)
        if EXACT in payload:
            metadata = _exact(payload[EXACT], metadata)
        return Document.parsed(self.id(key, payload), text, metadata)

    def payload(self, document: Document) -> dict[str, Any]:
        """
        Write a document as the payload of its point.

        Raises:
            DocumentError: If a field of its metadata has the name of another field.
        """
        metadata: Any = document.metadata
        payload = self._beside_metadata(document)
        if not is_stored_exactly(metadata):
            payload[EXACT] = to_json(metadata)
            metadata = ordinary(metadata)
        if self.fields.metadata is not None:
            payload[self.fields.metadata] = metadata
            return payload
        if taken := sorted(payload.keys() & metadata.keys()):
            raise DocumentError(
                f"the metadata of document {document.id!r} has the field {taken[0]!r}, where this "
                "collection keeps something else; rename it"
            )
        return {**metadata, **payload}

    def path(self, field: Field, /) -> str | None:
        """Return the key of a field of the metadata; None if there can be no such field."""
        keys = field_path(field)
        if self.fields.metadata is not None:
            return path_to(self.fields.metadata, *keys)
        return None if keys[0] in self._reserved else path_to(*keys)

    def is_shared(self, field: Field, /) -> bool:
        """Tell whether a payload may hold a document's id under a field's key."""
        return field == ID and self.fields.metadata is None and self.is_keyed

    def ids(self, ids: tuple[str, ...], /) -> Condition:
        """
        Translate `Ids`.

        A UUID of version 5 may be a document's id and the point of another, whose id was hashed:
        whether the payload has an id tells them apart.
        """
        if self.fields.id is not None:
            return _has_value(path_to(self.fields.id), ids)
        keys = {id_: point_key(id_) for id_ in ids}
        hashed = [id_ for id_, key in keys.items() if str(key) != id_]
        doubtful = [] if self.fields.metadata is None else [id_ for id_ in keys if _is_hash(id_)]
        plain = [key for id_, key in keys.items() if id_ not in {*hashed, *doubtful}]
        parts: list[Condition] = [{"has_id": plain}] if plain else []
        if doubtful:
            parts.append({"must": [{"has_id": doubtful}, {"is_empty": {"key": ID}}]})
        if hashed:
            in_payload: Condition = {"key": ID, "match": {"any": hashed}}
            parts.append({"must": [{"has_id": [keys[id_] for id_ in hashed]}, in_payload]})
        return parts[0] if len(parts) == 1 else {"should": parts} if parts else NOTHING

    def _beside_metadata(self, document: Document) -> dict[str, Any]:
        if self.fields.text == nodes.CONTENT:
            payload = nodes.to_node(document.id, document.text, document.metadata)
        else:
            payload = {self.fields.text: document.text}
        if self.fields.id is not None:
            payload[self.fields.id] = document.id
        elif str(point_key(document.id)) != document.id:
            payload[ID] = document.id
        return payload

    def _flat_metadata(self, key: str, payload: Mapping[str, Any]) -> Mapping[str, Any]:
        reserved = self._reserved
        if self.is_keyed and _hashed_id(key, payload) is not None:
            reserved = reserved | {ID}
        return {name: value for name, value in payload.items() if name not in reserved}

    @property
    def _reserved(self) -> frozenset[str | None]:
        """The fields of a flat payload that are not metadata."""
        more = {nodes.TYPE} if self.fields.text == nodes.CONTENT else set()
        return frozenset({self.fields.id, self.fields.text, EXACT, *more})


def path_to(*names: str) -> str:
    """Spell the path to a field as a server spells it back: names are quoted where needed."""
    return ".".join(name if _WORD.fullmatch(name) else f'"{name}"' for name in names)


def point_key(id_: str) -> Key:
    """Return the id of a document's point: its own where an engine spells it so, or its hash."""
    if id_.isascii() and id_.isdecimal() and len(id_) <= 20:
        number = int(id_)
        return number if str(number) == id_ and number < _LARGEST else point_id(id_)
    if len(id_) == 36 and id_[8] == "-":
        try:
            return id_ if str(UUID(id_)) == id_ else point_id(id_)
        except ValueError:
            pass
    return point_id(id_)


def point_id(id_: str) -> str:
    """Hash an id to a UUID of version 5."""
    digest = sha1(_NAMESPACE + id_.encode(), usedforsecurity=False).hexdigest()
    variant = "89ab"[int(digest[16], 16) & 3]
    return f"{digest[:8]}-{digest[8:12]}-5{digest[13:16]}-{variant}{digest[17:20]}-{digest[20:32]}"


def _hashed_id(key: str, payload: Mapping[str, Any]) -> str | None:
    id_ = payload.get(ID)
    if isinstance(id_, str) and id_ != key and str(point_key(id_)) == key:
        return id_
    return None


def _exact(json_text: object, metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    """Read the exact JSON of metadata, unless others have changed the metadata since."""
    if isinstance(json_text, str):
        with suppress(ValueError):
            parsed = json.loads(json_text)
            if is_near(ordinary(parsed), metadata):
                return dict(parsed)
    return metadata


def _is_hash(id_: str) -> bool:
    """Tell whether an id could be the point of another document."""
    return len(id_) == 36 and id_[14] == "5" and point_key(id_) == id_


def _has_value(key: str, ids: tuple[str, ...]) -> Condition:
    numbers = [number for id_ in ids if isinstance(number := point_key(id_), int)]
    values = [[*ids], [number for number in numbers if number < 2**63]]
    parts: list[Condition] = [{"key": key, "match": {"any": any_of}} for any_of in values if any_of]
    return {"should": parts} if parts else NOTHING
