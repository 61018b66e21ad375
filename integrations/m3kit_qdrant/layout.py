"""The seam between documents and points: what a payload says, and how filters find it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from m3kit.filters import Filter
from m3kit.records import Document
from m3kit_qdrant.engine import Key, Select
from m3kit_qdrant.filters import Condition


class Layout(Protocol):
    """How documents lie in the points of a collection."""

    @property
    def of_id(self) -> Select:
        """What of a payload tells the document's id; False if the key does."""
        ...

    @property
    def of_document(self) -> Select:
        """What of a payload tells the document."""
        ...

    @property
    def is_keyed(self) -> bool:
        """Whether a document's id alone tells its point's key."""
        ...

    def key(self, id_: str) -> Key:
        """
        Name the point of a new document.

        Raises:
            DocumentError: If no point can have such a name.
        """
        ...

    def keys(self, ids: tuple[str, ...]) -> list[Key]:
        """Name the points of documents; ids that no point can have are left out."""
        ...

    def id(self, key: Key, payload: Mapping[str, Any]) -> str:
        """Tell whose point it is."""
        ...

    def document(self, key: Key, payload: Mapping[str, Any]) -> Document:
        """Read a document from its point."""
        ...

    def payload(self, document: Document) -> dict[str, Any]:
        """
        Write a document as the payload of its point.

        Raises:
            DocumentError: If the payload cannot say it.
        """
        ...

    def where(self, where: Filter) -> Condition:
        """
        Translate a filter.

        Raises:
            ValueError: If `And`, `Or` and `Not` alternate too deep.
        """
        ...
