"""How documents lie in a collection: `Layout`, described by field names."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from pymilvus import DataType

from m3kit.adapters.field_names import FieldNames
from m3kit.adapters.manifest import Manifest
from m3kit.filters import Field, field_path
from m3kit.index import DocumentError
from m3kit.records import Document, Record
from m3kit.vectors import Rep
from m3kit_milvus.client import Engine, Key, Row
from m3kit_milvus.columns import META, Path, Place, Schema
from m3kit_milvus.private import (
    ID,
    METADATA,
    PARTITION,
    encode,
    has_large_integer,
    is_unsafe_key,
    to_key,
    to_partition,
)
from m3kit_milvus.scalars import Scalar, quoted
from m3kit_milvus.terms import TERMS, to_terms
from m3kit_milvus.vectors import MAX_VECTORS, Column, to_fields
from m3kit_milvus.workarounds import AtomicStr

M3KIT = FieldNames(
    id="id", text="text", metadata="metadata", dense="dense", sparse="sparse", colbert="colbert"
)
"""The field names of a collection that m3kit creates."""

LANGCHAIN = FieldNames(id="pk", text="text", dense="vector")
"""langchain-milvus' default names; for hybrid search, `replace(LANGCHAIN, dense=…, sparse=…)`."""

LLAMA_INDEX = FieldNames(id="id", text="text", dense="embedding", sparse="sparse_embedding")
"""The names of LlamaIndex's Milvus store with `enable_sparse=True`; else `sparse=None`."""

TEXT_BYTES = 65_535
"""What a VARCHAR of Milvus holds, and a JSON of a server."""

PRIVATE = frozenset({TERMS, METADATA, ID, PARTITION})
"""The private fields that m3kit may create; see `m3kit_milvus.private`."""

Fields: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Layout:
    """
    Documents as rows of one collection.

    Args:
        what: What an error calls the collection.
        names: The names of its fields; that of the id is given.
        manifest: What it holds.
        columns: Where the vectors are.
        schema: Its other fields.
        engine: What holds it.
        partition_key: The field of the metadata by which m3kit partitioned it.
        private: The private fields that m3kit created in it.
    """

    what: str
    names: FieldNames
    manifest: Manifest
    columns: Mapping[Rep, Column]
    schema: Schema
    engine: Engine
    partition_key: str | None
    private: frozenset[str]

    @property
    def id_field(self) -> str:
        """The field of the document's id, by which rows are found."""
        return self.names.id or self.schema.primary

    @property
    def id_fields(self) -> list[str]:
        """The fields that a document's id is read from."""
        return [self.id_field, *(self.private & {ID})]

    @property
    def document_fields(self) -> list[str]:
        """The fields that a document is read from."""
        fields = [*self.id_fields, self.names.text]
        if self.names.metadata is None:
            return [
                *fields,
                *self.schema.metadata_fields(),
                *([META] if self.schema.dynamic else []),
            ]
        return [*fields, self.names.metadata, *(self.private & {METADATA})]

    @property
    def has_terms(self) -> bool:
        """Whether filters look up terms, so that they are verified."""
        return TERMS in self.private and self.names.metadata == M3KIT.metadata

    @property
    def has_not(self) -> bool:
        """Whether the engine negates a filter."""
        return self.engine != "core"

    @property
    def is_typed(self) -> bool:
        """Whether the engine tells True from 1."""
        return self.engine == "server"

    def check_writable(self) -> None:
        """
        Check that documents can be written at all.

        Raises:
            DocumentError: If the collection's schema does not permit it.
        """
        schema = self.schema
        if schema.foreign_vectors:
            raise DocumentError(
                f"{self.what} cannot be written by m3kit: each row needs "
                f"{', '.join(schema.foreign_vectors)}, which M3 does not make; write with what "
                "does, and read and search here"
            )
        if schema.auto_id and self.id_field == schema.primary:
            raise DocumentError(
                f"{self.what} cannot be written by m3kit: Milvus numbers its rows by "
                f"{schema.primary!r}, so that no document keeps its id; name another field that "
                "holds the ids by FieldNames(id=…), or write with Milvus' client"
            )
        if not schema.auto_id and self.id_field != schema.primary:
            raise DocumentError(
                f"{self.what} cannot be written by m3kit: its key {schema.primary!r} would need a "
                f"value beside the id in {self.id_field!r}; write with Milvus' client"
            )

    def to_row(self, record: Record) -> Row:
        """
        Write a record as a row; its ColBERT vectors are those that are stored.

        Raises:
            DocumentError: If the collection cannot hold it.
        """
        rows = record.output.colbert
        if rows is not None and len(rows) > MAX_VECTORS:
            raise self._refusal(
                record.document,
                f"it has {len(rows)} ColBERT vectors, and Milvus holds {MAX_VECTORS}; split it, or "
                "pool them by ColbertStorage(pool_factor=2)",
            )
        vectors = to_fields(record.output, self.columns, self.manifest.colbert.dtype)
        return {**self.to_fields(record.document), **vectors}

    def to_fields(self, document: Document) -> Row:
        """
        Write a document as the fields of its row, without vectors.

        Raises:
            DocumentError: If the collection cannot hold it.
        """
        row = {**self._identified(document), **self._metadata(document), **self._private(document)}
        for name, scalar in self.schema.scalars.items():
            if scalar.required and name not in row and name != self.schema.primary:
                raise self._refusal(document, f"each row needs {name}, and its metadata lacks it")
        return row

    def to_document(self, row: Row) -> Document:
        """
        Read a document from its row.

        Raises:
            DocumentError: If the row holds something else where the document should be.
        """
        key = row[self.id_field]
        if self.names.metadata is None:
            metadata: Any = dict(self.schema.read(row))
        elif text := row.get(METADATA) if METADATA in self.private else None:
            metadata = json.loads(text)
        else:
            metadata = row[self.names.metadata]
        if not isinstance(metadata, Mapping | None):
            raise DocumentError(
                f"{self.names.metadata!r} of {key!r} in {self.what} is no object, so it is no "
                "metadata; name another field by FieldNames(metadata=…)"
            )
        text = self.stored_text(row)
        if not isinstance(text, str | None):
            raise DocumentError(
                f"{self.names.text!r} of {key!r} in {self.what} is no text; name another field by "
                "FieldNames(text=…)"
            )
        return Document(self.to_id(row), text or "", metadata or {})

    def to_id(self, row: Row) -> str:
        """Read the id of a document from its row."""
        return (ID in self.private and row.get(ID)) or str(row[self.id_field])

    def stored_text(self, row: Row) -> object:
        """Return what lies in the field of the text, None where there is nothing."""
        nested = row.get(META) or {}  # an engine may nest what the schema does not define
        return row.get(self.names.text, nested.get(self.names.text))

    def keys(self, ids: Sequence[str]) -> list[Key]:
        """Return the keys of these ids, once each; ids that no row can have are left out."""
        keys = (self._key(id_) for id_ in dict.fromkeys(ids))
        return [key for key in keys if key is not None]

    def has_keys(self, keys: Sequence[Key]) -> str:
        """Return the filter that keeps the rows of these keys."""
        if not keys:
            return self.nothing
        literals = [quoted(key) if isinstance(key, str) else repr(key) for key in keys]
        return f"{self.id_field} in [{', '.join(dict.fromkeys(literals))}]"

    @property
    def everything(self) -> str:
        """The filter that keeps all rows."""
        if self._id_scalar.type == DataType.VARCHAR:
            return f'{self.id_field} != ""'
        return f"({self.id_field} >= 0 or {self.id_field} < 0)"

    @property
    def nothing(self) -> str:
        """The filter that keeps no row."""
        if self._id_scalar.type == DataType.VARCHAR:
            return f'{self.id_field} == ""'
        return f"({self.id_field} < 0 and {self.id_field} >= 0)"

    def place(self, field: Field) -> Place:
        """Tell where a field of the metadata lies."""
        first, *nested = field_path(field)
        path = "".join(f'["{key}"]' for key in (first, *nested))
        if self.names.metadata is not None:
            return self._path(f"{self.names.metadata}{path}", lists=True)
        if first in self.schema.metadata_fields():
            if first in self.schema.jsons:
                return "unknown"
            return "nowhere" if nested else self.schema.scalars[first]
        if not self.schema.can_add(first):
            return "nowhere"
        return self._path(f"{META}{path}", lists=self.engine == "server")

    def _path(self, text: str, *, lists: bool) -> Place:
        """Name a place in a JSON; Milvus Lite's core cannot tell whether there is anything."""
        return "unknown" if self.engine == "core" else Path(text, lists)

    @property
    def _id_scalar(self) -> Scalar:
        return self.schema.scalars[self.id_field]

    def _key(self, id_: str) -> Key | None:
        if self._id_scalar.type == DataType.VARCHAR:
            if self.engine == "core" and is_unsafe_key(id_):
                return to_key(id_) if ID in self.private else None
            return id_ if self._id_scalar.fits(id_) else None
        try:
            number = int(id_)
        except ValueError:
            return None
        return number if str(number) == id_ and self._id_scalar.fits(number) else None

    def _identified(self, document: Document) -> Fields:
        """Write the id and the text."""
        key, text = self._key(document.id), self.schema.scalars.get(self.names.text)
        if key is None:
            if self._id_scalar.max_length is not None:
                self._check_size(document, "id", document.id, self._id_scalar.max_length)
            raise self._refusal(document, f"its id is none that {self.id_field!r} holds")
        if text is not None and text.max_length is not None:  # None where undefined: in $meta
            self._check_size(document, "text", document.text, text.max_length)
        return {
            self.id_field: AtomicStr(key) if isinstance(key, str) else key,
            self.names.text: AtomicStr(document.text),
        }

    def _metadata(self, document: Document) -> Fields:
        if self.names.metadata is None:
            reason = self.schema.difference(document.metadata)
            if reason is not None:
                raise self._refusal(document, reason)
            return dict(document.metadata)
        metadata = dict(document.metadata)
        if self.private:
            self._check_size(document, "metadata", encode(metadata), TEXT_BYTES)
        return {self.names.metadata: metadata}

    def _private(self, document: Document) -> Fields:
        fields: dict[str, Any] = {}
        if TERMS in self.private:
            terms = to_terms(document.metadata) if self.has_terms else ""
            fields[TERMS] = AtomicStr(terms)
        if METADATA in self.private:
            text = encode(document.metadata) if has_large_integer(document.metadata) else ""
            fields[METADATA] = AtomicStr(text)
        if ID in self.private:
            fields[ID] = AtomicStr("" if self._key(document.id) == document.id else document.id)
        if self.partition_key is not None:
            fields[PARTITION] = to_partition(document.metadata.get(self.partition_key))
        return fields

    def _check_size(self, document: Document, part: str, text: str, limit: int) -> None:
        size = len(text) if text.isascii() else len(text.encode())
        if size > limit:
            raise self._refusal(
                document,
                f"its {part} takes {size} bytes, and Milvus holds {limit}; split the document, or "
                "shorten it",
            )

    def _refusal(self, document: Document, why: str) -> DocumentError:
        name = document.id if len(document.id) <= 100 else f"{document.id[:100]}…"
        return DocumentError(f"{self.what} cannot hold document {name!r}: {why}")
