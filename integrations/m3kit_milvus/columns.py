"""The fields of a collection besides the vectors, and metadata that lies in fields of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from m3kit_milvus.client import Row
from m3kit_milvus.scalars import Scalar

META = "$meta"
"""Milvus' name for the fields that a schema does not define."""


@dataclass(frozen=True, slots=True)
class Path:
    """
    A place in a JSON, which may hold anything.

    Args:
        text: How it is named.
        lists: Whether the engine looks into lists there.
    """

    text: str
    lists: bool


Place: TypeAlias = Path | Scalar | Literal["nowhere", "unknown"]
"""Where a field of the metadata is; `unknown`: where no filter of the engine reaches."""


@dataclass(frozen=True, slots=True)
class Schema:
    """
    What a collection's description says besides the vectors of M3.

    Args:
        primary: The field of the primary key.
        auto_id: Whether Milvus numbers the rows itself.
        scalars: The fields of one type, those of the id and the text among them.
        jsons: The fields of JSON.
        others: The fields of any other type.
        foreign_vectors: Vectors that every row needs and that M3 does not make.
        dynamic: Whether rows may have fields that the schema does not define.
        reserved: The fields of the id, the text and the vectors, and the private ones; where no
            field nests the metadata, it is every other field of a row.
    """

    primary: str
    auto_id: bool
    scalars: Mapping[str, Scalar]
    jsons: Sequence[str]
    others: Sequence[str]
    foreign_vectors: Sequence[str]
    dynamic: bool
    reserved: frozenset[str]

    def metadata_fields(self) -> list[str]:
        """Name the fields of the schema that are metadata, where none nests it."""
        fields = (*self.scalars, *self.jsons)
        return [name for name in fields if name not in self.reserved]

    def can_add(self, name: str) -> bool:
        """Tell whether a row may have a field that the schema does not define."""
        taken = {META, *self.others, *self.foreign_vectors}
        return self.dynamic and name not in self.reserved | taken

    def difference(self, metadata: Mapping[str, Any]) -> str | None:
        """Say why the collection cannot hold this metadata; None where it can."""
        defined = set(self.metadata_fields())
        for name, value in metadata.items():
            if name not in defined and not self.can_add(name):
                return f"the schema has no field for {name!r} of its metadata"
            scalar = self.scalars.get(name)
            absent = value is None and scalar is not None and not scalar.required
            if scalar is not None and not absent and not scalar.fits(value):
                return f"{name!r} of its metadata is {value!r}, and {scalar} there"
        return None

    def read(self, row: Row) -> Iterator[tuple[str, Any]]:
        """Yield the metadata of a row; a field of the schema may be null."""
        for name, value in row.items():
            if name == META:  # an engine may nest it
                yield from (pair for pair in value.items() if pair[0] not in self.reserved)
            elif name in self.reserved:
                continue
            elif name not in self.scalars:
                yield name, value
            elif value is not None:
                yield name, [*value] if self.scalars[name].array else value
