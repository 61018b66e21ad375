"""
How a document lies in a schema.

A schema that `m3_package` made has these fields, beside the vectors:

    id        The document's id. Its name in Vespa is the id's digest, since Vespa reads `a/../b` as
              `b`.
    text      The text.
    metadata  The metadata as JSON, so that it comes back exactly: Vespa's answers leave out empty
              strings and lists.
    lang …    An attribute for each declared field of the metadata, by its name and of its type.
    terms     What no attribute can tell of the metadata, because the field is not declared, or its
              value is of another type, empty or false: `["lang"]` says that there is one,
              `["lang","de"]` that it equals, `["tags",["a"]]` that it contains.
    salt      A number from the digest, by which rank profiles tell whether two documents tie.

Any other schema has the fields that `FieldNames` says. Without a field that nests the metadata, the
declared fields are the metadata, and so are all other fields if none is declared.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from m3kit.adapters.field_names import FieldNames
from m3kit.adapters.filter_terms import TermKind, by_value, filter_terms
from m3kit.adapters.manifest import Manifest
from m3kit.filters import Field, is_number
from m3kit.index import DocumentError
from m3kit.records import Document, Record
from m3kit.vectors import M3Output, Rep
from m3kit_vespa.field_types import AttributeType, attribute_name, attribute_value, can_hold
from m3kit_vespa.spelling import digest, spelled, unspelled
from m3kit_vespa.vectors import (
    Cells,
    colbert_value,
    dense_value,
    integer_weights,
    sparse_value,
    to_colbert,
    to_dense,
    to_sparse,
)

M3KIT = FieldNames(
    id="id", text="text", metadata="metadata", dense="dense", sparse="sparse", colbert="colbert"
)
"""The fields of a schema that `m3_package` makes."""

Retrieval: TypeAlias = Literal["exact", "wand"]
"""How the sparse branch finds documents: all that share a token, or the best by integer weights."""

_LONGEST_TERM = 200
"""A term with more characters is replaced by its digest: terms are kept in memory."""

_ADDED = {"documentid", "sddocname", "matchfeatures", "summaryfeatures", "rankfeatures"}
"""What Vespa adds to the fields of a hit."""

_json = json.JSONEncoder(separators=(",", ":"), allow_nan=False, ensure_ascii=False).encode


@dataclass(frozen=True, slots=True)
class Layout:
    """
    Where documents and their vectors lie in a schema.

    Args:
        names: The names of its fields.
        manifest: What it holds.
        field_types: The declared fields of the metadata, and the types of their attributes.
        retrieval: How the sparse branch finds documents in a schema that `m3_package` made; None in
            any other, whose documents are all scored.

    Raises:
        ValueError: If a schema cannot have such a field.
    """

    names: FieldNames
    manifest: Manifest
    field_types: Mapping[str, AttributeType] = field(default_factory=dict)
    retrieval: Retrieval | None = None

    def __post_init__(self) -> None:
        for name in [] if self.is_native else [*self.names.names(), *self.field_types]:
            if not re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_.]*", name, re.ASCII):
                raise ValueError(f"{name!r} is not the name of a field in a schema")

    @property
    def is_native(self) -> bool:
        """Whether `m3_package` made the schema, so that it has terms, salts and cased strings."""
        return self.retrieval is not None

    @property
    def id_attribute(self) -> str | None:
        """The attribute by which documents are found by their ids, if there is one."""
        name = self.names.id
        return name if self.is_native or self.field_types.get(name or "") == "string" else None

    @property
    def id_fields(self) -> Sequence[str]:
        """What an id is read from; a document has the first of them."""
        return ["id"] if self.is_native else ["documentid", *filter(None, [self.names.id])]

    def attribute_type(self, field: Field) -> AttributeType | None:
        """Return the type of a field's attribute; None if it has none, as a nested field."""
        return self.field_types.get(field) if isinstance(field, str) else None

    def attribute(self, field: Field) -> str:
        """Name the attribute of a declared field; a nested one has none."""
        if not isinstance(field, str):
            return ""
        return attribute_name(field) if self.is_native else field

    def selected(self, reps: Collection[Rep] = ()) -> Sequence[str]:
        """Name what a record is read from: `*` where the metadata is spread over unnamed fields."""
        if self.names.metadata is None and not self.field_types:
            return ["*"]
        nested = [self.names.metadata] if self.names.metadata else [*self.field_types]
        vectors = [self.names.vector(rep) or "" for rep in reps]
        return list(dict.fromkeys([*self.id_fields, self.names.text, *nested, *vectors]))

    def document_name(self, id_: str) -> str:
        """Return the last part of Vespa's own id, by which a document is written and deleted."""
        return digest(id_) if self.is_native else id_

    def check(self, document: Document) -> None:
        """
        Check what only Vespa cannot hold.

        Raises:
            DocumentError: If it cannot hold an id or a number.
        """
        id_ = document.id
        if not self.is_native and not is_addressable(id_):
            raise DocumentError(
                f"document {id_!r} has an id that Vespa's URLs shorten; use another, without empty "
                "parts, '.' and '..' between slashes"
            )
        for name, type_ in self.field_types.items():
            value = document.metadata.get(name)
            if type_ == "long" and is_number(value) and not can_hold(type_, value, element=False):
                raise DocumentError(
                    f"document {id_!r} holds {value!r} in {name!r}, which is declared int, and "
                    f"Vespa's integers are whole and of 64 bits; declare it {name!r}: float"
                )

    def to_fields(self, document: Document) -> dict[str, Any]:
        """Write a document, without its vectors."""
        names, metadata = self.names, document.metadata
        fields: dict[str, Any] = {names.text: spelled(document.text)}
        if names.id is not None:
            fields[names.id] = spelled(document.id)
        if names.metadata is None:
            return {**{name: _plain(value) for name, value in metadata.items()}, **fields}
        fields[names.metadata] = spelled(_json(metadata))
        for name, type_ in self.field_types.items():
            if (value := attribute_value(type_, metadata.get(name))) is not None:
                fields[self.attribute(name)] = value
        if self.is_native:
            fields["terms"] = list(dict.fromkeys(self._terms(metadata)))
            fields["salt"] = int(digest(document.id)[:8], 16) >> 1
        return fields

    def to_vectors(self, output: M3Output) -> dict[str, Any]:
        """Write the vectors of a document; its ColBERT vectors are those that are stored."""
        names = self.names
        fields: dict[str, Any] = {}
        cells: Cells = "float32" if self.is_native else "numbers"
        if names.dense is not None and output.dense is not None:
            fields[names.dense] = dense_value(output.dense, cells)
        if names.sparse is not None and output.sparse is not None:
            fields[names.sparse] = sparse_value(output.sparse)
            if self.retrieval == "exact":
                fields["token_ids"] = output.sparse.ids.tolist()
            elif self.retrieval == "wand":
                fields["tokens"] = integer_weights(output.sparse)
        if names.colbert is not None and output.colbert is not None:
            cells = self.manifest.colbert.dtype if self.is_native else "numbers"
            fields[names.colbert] = colbert_value(output.colbert, cells)
        return fields

    def to_id(self, fields: Mapping[str, Any]) -> str:
        """Read an id: from its field, or else it is the document's name."""
        if self.names.id is None:
            return self.to_name(fields)
        return unspelled(str(fields[self.names.id]))

    def to_name(self, fields: Mapping[str, Any]) -> str:
        """Read the name of a document from Vespa's own id, whose last part it is."""
        return str(fields["documentid"]).split(":", 4)[4]

    def to_document(self, fields: Mapping[str, Any]) -> Document:
        """Read a document; an answer leaves out an empty text."""
        text = unspelled(fields.get(self.names.text, ""))
        return Document(self.to_id(fields), text, self._metadata(fields))

    def to_record(self, fields: Mapping[str, Any], reps: Collection[Rep]) -> Record:
        """Read a document with some of its vectors."""
        vectors: dict[Rep, Any] = {rep: fields.get(self.names.vector(rep) or "") for rep in reps}
        dtype, dim = self.manifest.colbert.dtype, self.manifest.dim
        output = M3Output(
            dense=to_dense(vectors["dense"]) if "dense" in vectors else None,
            sparse=to_sparse(vectors["sparse"]) if "sparse" in vectors else None,
            colbert=to_colbert(vectors["colbert"], dtype, dim) if "colbert" in vectors else None,
        )
        return Record(self.to_document(fields), output)

    def _metadata(self, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        if self.names.metadata is not None:
            nested = fields.get(self.names.metadata, {})
            metadata: Mapping[str, Any] = (
                json.loads(unspelled(nested)) if isinstance(nested, str) else nested
            )
            return metadata
        others = {*self.names.names(), *_ADDED}
        names = [
            name for name in self.field_types or fields if name in fields and name not in others
        ]
        return {name: fields[name] for name in names}

    def _terms(self, metadata: Mapping[str, Any]) -> Iterator[str]:
        """Yield the terms of what no attribute tells."""
        for entry in filter_terms(metadata):
            if not self.tells(entry.field, entry.value, element=entry.kind == "in"):
                value = () if entry.kind == "has" else (entry.value,)
                yield spelled(term(entry.kind, entry.field, *value))

    def tells(self, field: Field, value: object, *, element: bool) -> bool:
        """Tell whether an attribute holds a scalar, and then differs from one without a value."""
        fits = can_hold(self.attribute_type(field), value, element=element)
        return fits and (element or (value is not False and value != ""))


def term(kind: TermKind, field: Field, *value: object) -> str:
    """Write one thing that a document says of a field; `1` and `1.0` are one."""
    values = [*map(by_value, value)]
    text = _json([field, values] if kind == "in" else [field, *values])
    return text if len(text) <= _LONGEST_TERM else digest(text)


def is_addressable(name: str) -> bool:
    """Tell whether a URL names a document of this name, and not another."""
    return not any(part in {"", ".", ".."} for part in name.split("/"))


def _plain(value: object) -> object:
    return spelled(value) if isinstance(value, str) else value
