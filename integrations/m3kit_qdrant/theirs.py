"""How a collection that others made lays its documents in points, as `m3kit.FieldNames` tells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from m3kit.adapters.field_names import FieldNames
from m3kit.filters import Filter
from m3kit.index import DocumentError
from m3kit.records import Document
from m3kit_qdrant import nodes
from m3kit_qdrant.engine import Key, Select
from m3kit_qdrant.filters import NOTHING, Condition
from m3kit_qdrant.payload import path_to, point_id
from m3kit_qdrant.plain import to_plain

_LARGEST = 2**64


@dataclass(frozen=True, slots=True)
class Theirs:
    """
    The layout of a collection that others made; what m3kit writes lies as theirs does.

    Without a field for the id, a document's id is its point's key, a UUID or a number, as text.

    Args:
        fields: What the payload's fields are called.
    """

    fields: FieldNames

    @property
    def is_keyed(self) -> bool:
        """See `Layout.is_keyed`."""
        return self.fields.id is None

    @property
    def of_id(self) -> Select:
        """See `Layout.of_id`."""
        return False if self.fields.id is None else [path_to(self.fields.id)]

    @property
    def of_document(self) -> Select:
        """See `Layout.of_document`."""
        return True

    def key(self, id_: str) -> Key:
        """See `Layout.key`."""
        if self.fields.id is not None:
            return point_id(id_)
        if (key := _key(id_)) is None:
            raise DocumentError(
                f"document {id_!r} cannot be the key of a point, which is an unsigned number of 64 "
                f"bits or a UUID like {_example(id_)}; rename it, or name the payload's field that "
                "holds ids of any form: FieldNames(id=…)"
            )
        return key

    def keys(self, ids: tuple[str, ...]) -> list[Key]:
        """See `Layout.keys`."""
        return [key for id_ in ids if (key := _key(id_)) is not None]

    def id(self, key: Key, payload: Mapping[str, Any]) -> str:
        """See `Layout.id`."""
        return str(key if self.fields.id is None else payload.get(self.fields.id, key))

    def document(self, key: Key, payload: Mapping[str, Any]) -> Document:
        """See `Layout.document`."""
        text = payload.get(self.fields.text)
        if not isinstance(text, str | None):
            raise DocumentError(
                f"point {key} of the collection holds no text in {self.fields.text!r} but "
                f"{text!r:.80}; name its text's field: FieldNames(text=…)"
            )
        if text is not None and self.fields.text == nodes.CONTENT:
            text = nodes.text_of(text)
        return Document(self.id(key, payload), text or "", self._metadata(key, payload))

    def payload(self, document: Document) -> dict[str, Any]:
        """See `Layout.payload`."""
        metadata = document.metadata
        own = self._own(document)
        if self.fields.metadata is not None:
            return {**own, self.fields.metadata: metadata}
        if taken := sorted(own.keys() & metadata.keys()):
            raise DocumentError(
                f"the metadata of document {document.id!r} has the field {taken[0]!r}, where this "
                "collection keeps something else; rename it"
            )
        return {**metadata, **own}

    def where(self, where: Filter) -> Condition:
        """See `Layout.where`."""
        return to_plain(where, self.path, self._ids)

    def _own(self, document: Document) -> dict[str, Any]:
        own: dict[str, Any] = {} if self.fields.id is None else {self.fields.id: document.id}
        if self.fields.text == nodes.CONTENT:
            return own | nodes.to_node(document.id, document.text, document.metadata)
        return own | {self.fields.text: document.text}

    def _metadata(self, key: Key, payload: Mapping[str, Any]) -> Mapping[str, Any]:
        if self.fields.metadata is None:
            return {name: value for name, value in payload.items() if name not in self._reserved}
        metadata = payload.get(self.fields.metadata)
        if not isinstance(metadata, Mapping | None):
            raise DocumentError(
                f"point {key} of the collection holds no metadata in {self.fields.metadata!r} but "
                f"{metadata!r:.80}; name the field that nests it: FieldNames(metadata=…)"
            )
        return metadata or {}

    @property
    def _reserved(self) -> set[str | None]:
        """What of a flat payload is no metadata."""
        more = {nodes.TYPE} if self.fields.text == nodes.CONTENT else set()
        return {self.fields.id, self.fields.text, *more}

    def path(self, field: str) -> str | None:
        """Tell where a field of the metadata lies; None if it is none of the metadata."""
        if self.fields.metadata is not None:
            return path_to(self.fields.metadata, field)
        return None if field in self._reserved else path_to(field)

    def _ids(self, ids: tuple[str, ...]) -> Condition:
        if self.fields.id is None:
            return {"has_id": self.keys(ids)}
        key = path_to(self.fields.id)
        numbers = [one for id_ in ids if isinstance(one := _key(id_), int) and one < 2**63]
        some = [{"key": key, "match": {"any": of}} for of in ([*ids], numbers) if of]
        return {"should": some} if some else NOTHING


def _key(id_: str) -> Key | None:
    """Read a key that an engine gives back in the same spelling."""
    if id_.isascii() and id_.isdecimal() and str(int(id_)) == id_ and int(id_) < _LARGEST:
        return int(id_)
    try:
        return id_ if str(UUID(id_)) == id_ else None
    except ValueError:
        return None


def _example(id_: str) -> str:
    """Spell the UUID that was meant, or another."""
    try:
        return str(UUID(id_))
    except ValueError:
        return point_id(id_)
