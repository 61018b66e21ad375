"""How an index of m3kit's own lays its documents in points; see `payload.py`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from m3kit.filters import Filter
from m3kit.records import Document
from m3kit_qdrant.engine import Key, Select
from m3kit_qdrant.filters import Condition, to_qdrant
from m3kit_qdrant.payload import point_id, to_document, to_payload


@dataclass(frozen=True, slots=True)
class Own:
    """
    The layout of a collection that m3kit made.

    Args:
        keywords: FieldNames whose strings have an index of their own.
    """

    keywords: frozenset[str] = frozenset()
    is_keyed = True

    @property
    def of_id(self) -> Select:
        """See `Layout.of_id`."""
        return ["id"]

    @property
    def of_document(self) -> Select:
        """See `Layout.of_document`."""
        return ["id", "text", "metadata"]

    def key(self, id_: str) -> Key:
        """See `Layout.key`."""
        return point_id(id_)

    def keys(self, ids: tuple[str, ...]) -> list[Key]:
        """See `Layout.keys`."""
        return [point_id(id_) for id_ in ids]

    def id(self, key: Key, payload: Mapping[str, Any]) -> str:  # noqa: ARG002  # the protocol's
        """See `Layout.id`."""
        return str(payload["id"])

    def document(self, key: Key, payload: Mapping[str, Any]) -> Document:  # noqa: ARG002  # so
        """See `Layout.document`."""
        return to_document(payload)

    def payload(self, document: Document) -> dict[str, Any]:
        """See `Layout.payload`."""
        return to_payload(document)

    def where(self, where: Filter) -> Condition:
        """See `Layout.where`."""
        return to_qdrant(where, self.keywords)
