"""The collections that others made: their documents in the places that `FieldNames` names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pymilvus import DataType

from m3kit.adapters.field_names import FieldNames
from m3kit.adapters.manifest import Manifest
from m3kit.filters import Filter
from m3kit.index import DocumentError
from m3kit.records import Document, Json, Record
from m3kit.vectors import Rep
from m3kit_milvus.columns import to_cells
from m3kit_milvus.layout import Column, Engine, Key, Row, Said, Writing
from m3kit_milvus.plain import Path, Place, Plain
from m3kit_milvus.scalars import Scalar, quoted
from m3kit_milvus.whole import Whole

META = "$meta"
"""What Milvus calls the fields that a schema does not name."""


@dataclass(frozen=True, slots=True)
class Theirs:
    """
    A layout that others made.

    Args:
        what: What a message calls the collection.
        fields: What the caller says of it.
        manifest: What it holds.
        columns: Where the vectors are.
        primary: The field of the primary key.
        numbered: Whether Milvus numbers the rows itself.
        id_column: The field of a document's id, which may be the primary key.
        scalars: Its fields of one type, those of the id and the text among them.
        jsons: Its fields of JSON.
        others: Its fields of any other type that are no named vectors.
        vectors: FieldNames of vectors that nobody named and that every row needs.
        dynamic: Whether rows may have fields that the schema does not name.
        engine: What holds it.
    """

    what: str
    fields: FieldNames
    manifest: Manifest
    columns: Mapping[Rep, Column]
    primary: str
    numbered: bool
    id_column: Scalar
    scalars: Mapping[str, Scalar]
    jsons: Sequence[str]
    others: Sequence[str]
    vectors: Sequence[str]
    dynamic: bool
    engine: Engine

    @property
    def key(self) -> str:
        """The field of the document's id, by which all is found."""
        return self.id_column.name

    @property
    def id_field(self) -> str:
        """The same field."""
        return self.key

    @property
    def document_fields(self) -> Sequence[str]:
        """What a document is read from; see `Layout.document_fields`."""
        if self.fields.metadata is not None:
            return [self.key, self.fields.text, self.fields.metadata]
        return [self.key, self.fields.text, *self._own(), *([META] if self.dynamic else [])]

    @property
    def writing(self) -> Writing:
        """How a row is replaced; see `Layout.writing`."""
        return "replace" if self.numbered else "upsert"

    def check_writable(self) -> None:
        """Check the schema; see `Layout.check_writable`."""
        if self.vectors:
            raise DocumentError(
                f"{self.what} takes no documents from us: each needs {', '.join(self.vectors)}, "
                "which M3 does not make; write by what does, and read and search here"
            )
        if self.numbered and self.key == self.primary:
            raise DocumentError(
                f"{self.what} takes no documents from us: Milvus numbers its rows by "
                f"{self.primary!r}, so that none keeps the id it is given; name another field that "
                "holds the ids by FieldNames(id=…), or write by Milvus's client"
            )
        if not self.numbered and self.key != self.primary:
            raise DocumentError(
                f"{self.what} takes no documents from us: its key {self.primary!r} would need a "
                f"value beside the id in {self.key!r}; write by Milvus's client"
            )

    def to_row(self, record: Record) -> Row:
        """Write a record; see `Layout.to_row`."""
        document = record.document
        if not self.keys([document.id]):
            self._refuse(document, f"its id is none that {self.key!r} holds")
        row: dict[str, Any] = {
            self.key: self.keys([document.id])[0],
            self.fields.text: Whole(document.text),
        }
        text = self.scalars.get(self.fields.text)  # None of one that the schema does not name
        if text is not None and not text.fits(document.text):
            self._refuse(document, f"{text.name!r} holds {text.length} bytes")
        if self.fields.metadata is not None:
            row[self.fields.metadata] = dict(document.metadata)
        else:
            row |= self._metadata(document)
        missing = [
            name
            for name, scalar in self.scalars.items()
            if scalar.required and name not in row and name != self.primary
        ]
        if missing:
            self._refuse(document, f"each needs {', '.join(missing)}, and its metadata lacks that")
        return row | to_cells(record.output, self.columns, self.manifest.colbert.dtype)

    def to_document(self, row: Row) -> Document:
        """Read a document; see `Layout.to_document`."""
        if self.fields.metadata is not None:
            metadata = row[self.fields.metadata]
            if not isinstance(metadata, Mapping | None):
                raise DocumentError(
                    f"{self.fields.metadata!r} of {row[self.key]!r} in {self.what} holds no "
                    "object, so that it is no metadata; name another field by FieldNames(metadata=…)"
                )
        else:
            metadata = dict(self._read(row))
        return Document(str(row[self.key]), self._text(row), metadata or {})

    def keys(self, ids: Sequence[str]) -> list[Key]:
        """Name rows; see `Layout.keys`."""
        own = (self._key(id_) for id_ in dict.fromkeys(ids))
        return [one for one in own if one is not None]

    def has(self, keys: Sequence[Key]) -> str:
        """Keep rows; see `Layout.has`."""
        if not keys:
            return self._nothing
        values = [quoted(one) if isinstance(one, str) else repr(one) for one in keys]
        return f"{self.key} in [{', '.join(dict.fromkeys(values))}]"

    def say(self, where: Filter) -> Said:
        """Translate a filter; see `Layout.say`."""
        words = Plain(
            self._place,
            lambda ids: self.has(self.keys(ids)),
            self._everything,
            self._nothing,
            typed=self.engine == "server",
            negates=self.engine != "core",
        )
        return words.say(where)

    @property
    def _everything(self) -> str:
        if self.id_column.type == DataType.VARCHAR:
            return f'{self.key} != ""'
        return f"({self.key} >= 0 or {self.key} < 0)"

    @property
    def _nothing(self) -> str:
        if self.id_column.type == DataType.VARCHAR:
            return f'{self.key} == ""'
        return f"({self.key} < 0 and {self.key} >= 0)"

    def has_text(self, row: Row) -> bool:
        """Tell whether a row has the text, as one of a text that the schema does not name may."""
        return self._kept(row) is not None

    def _kept(self, row: Row) -> object:
        within = row.get(META) or {}  # an engine may nest what the schema does not name
        return row.get(self.fields.text, within.get(self.fields.text))

    def _text(self, row: Row) -> str:
        text = self._kept(row)
        if not isinstance(text, str | None):
            raise DocumentError(
                f"{self.fields.text!r} of {row[self.key]!r} in {self.what} holds no text; name "
                "another field by FieldNames(text=…)"
            )
        return text or ""

    def _own(self) -> Iterator[str]:
        """Yield the fields of the schema that are metadata, where no field nests it."""
        apart = {self.primary, self.key, self.fields.text}
        yield from (name for name in (*self.scalars, *self.jsons) if name not in apart)

    def _read(self, row: Row) -> Iterator[tuple[str, Any]]:
        """Yield the metadata that lies in fields of its own; one of the schema may be null."""
        apart = {self.primary, self.key, self.fields.text}
        vectors = {column.field for column in self.columns.values()}
        for name, value in row.items():
            if name == META:  # an engine may nest it
                yield from (pair for pair in value.items() if pair[0] not in apart)
            elif name in self.scalars:
                if name not in apart and value is not None:
                    yield name, [*value] if self.scalars[name].array else value
            elif name not in vectors and name not in apart:
                yield name, value

    def _key(self, id_: str) -> Key | None:
        if self.id_column.type == DataType.VARCHAR:
            quote = self.engine == "core" and "'" in id_  # which would end a text within that core
            return id_ if self.id_column.fits(id_) and not quote else None
        try:
            number = int(id_)
        except ValueError:
            return None
        return number if str(number) == id_ and self.id_column.fits(number) else None

    def _metadata(self, document: Document) -> dict[str, Json]:
        own = set(self._own())
        for name, value in document.metadata.items():
            if name not in own and (not self.dynamic or self._is_taken(name)):
                self._refuse(document, f"the schema has no place for {name!r} of its metadata")
            scalar = self.scalars.get(name)
            absent = value is None and scalar is not None and not scalar.required
            if scalar is not None and not absent and not scalar.fits(value):
                self._refuse(
                    document, f"{name!r} of its metadata is {value!r}, and {_typed(scalar)} there"
                )
        return dict(document.metadata)

    def _is_taken(self, name: str) -> bool:
        columns = {column.field for column in self.columns.values()}
        apart = {self.primary, self.key, self.fields.text, META, *columns}
        return name in apart or name in self.others or name in self.vectors

    def _refuse(self, document: Document, why: str) -> None:
        raise DocumentError(
            f"{self.what} cannot hold document {document.id!r}: {why}; change the document"
        )

    def _place(self, field: str) -> Place:
        if self.fields.metadata is not None:
            return self._path(f'{self.fields.metadata}["{field}"]', lists=True)
        if field in set(self._own()):
            return "unknown" if field in self.jsons else self.scalars[field]
        if not self.dynamic or self._is_taken(field):
            return "nowhere"
        return self._path(f'{META}["{field}"]', lists=self.engine == "server")

    def _path(self, text: str, *, lists: bool) -> Place:
        """Name a place in a JSON; Milvus Lite's core cannot ask whether there is anything."""
        return "unknown" if self.engine == "core" else Path(text, lists)


def _typed(scalar: Scalar) -> str:
    return f"a list of {scalar.type.name}" if scalar.array else scalar.type.name
