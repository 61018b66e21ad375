"""What a collection keeps where: the seam between the rows that m3kit makes and those of others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

from m3kit.adapters.manifest import Manifest
from m3kit.filters import Filter
from m3kit.records import Document, Record
from m3kit.vectors import Rep

Row: TypeAlias = Mapping[str, Any]
Key: TypeAlias = str | int

Engine: TypeAlias = Literal["lite", "core", "server"]
"""Milvus Lite 3, in Python; Milvus Lite 2.5, a core in C++ that knows no `not`; or a server."""

Writing: TypeAlias = Literal["upsert", "replace"]
"""By the primary key; or, where Milvus numbers the rows itself, by deleting and inserting."""


@dataclass(frozen=True, slots=True)
class Said:
    """
    A filter in Milvus's words.

    Args:
        text: Keeps at least what the filter keeps.
        exact: Whether it keeps nothing else.
        definite: Whether it is true or false of every row, and never unknown, so that its `not` is
            the rest.
    """

    text: str
    exact: bool = True
    definite: bool = True


@dataclass(frozen=True, slots=True)
class Column:
    """
    Where a representation's vectors are.

    Args:
        rep: What they are.
        field: The field of a row.
        metric: The metric of their index.
        index: Its type, as Milvus calls it.
        search: Parameters of a search in it.
        anns: What a search names, where it is not the field.
    """

    rep: Rep
    field: str
    metric: str
    index: str
    search: Mapping[str, Any]
    anns: str = ""


class Layout(Protocol):
    """How documents are rows of one collection, and what its filters say."""

    @property
    def stamp(self) -> Manifest:
        """What the collection holds."""
        ...

    @property
    def columns(self) -> Mapping[Rep, Column]:
        """Where the vectors are."""
        ...

    @property
    def key(self) -> str:
        """The field by which rows are found, read and deleted."""
        ...

    @property
    def id_field(self) -> str:
        """The field that a document's id is read from."""
        ...

    @property
    def document_fields(self) -> Sequence[str]:
        """What a document is read from."""
        ...

    @property
    def writing(self) -> Writing:
        """How a row is replaced."""
        ...

    def check_writable(self) -> None:
        """
        Check that documents can be written at all.

        Raises:
            DocumentError: If the collection's schema does not let us.
        """
        ...

    def to_row(self, record: Record) -> Row:
        """
        Write a record as a row.

        Raises:
            DocumentError: If the collection cannot hold it.
        """
        ...

    def to_document(self, row: Row) -> Document:
        """Read a document from its row."""
        ...

    def keys(self, ids: Sequence[str]) -> list[Key]:
        """Name the rows of these ids, once each; ids that no row can have are left out."""
        ...

    def has(self, keys: Sequence[Key]) -> str:
        """Keep the rows of these keys."""
        ...

    def say(self, where: Filter) -> Said:
        """
        Translate a filter.

        Raises:
            ValueError: If it nests too deeply.
        """
        ...
