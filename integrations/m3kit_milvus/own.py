"""The collections that m3kit makes: their schema, and the documents in them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pymilvus import CollectionSchema, DataType, MilvusClient

from m3kit.adapters.manifest import Manifest
from m3kit.adapters.storage import ColbertType
from m3kit.filters import Filter
from m3kit.index import DocumentError, IndexNotFoundError, RepresentationError
from m3kit.records import Document, Record
from m3kit.vectors import Floats, Rep
from m3kit_milvus.columns import NO_TOKEN, TOKEN, to_cells
from m3kit_milvus.filters import has_keys, positive, to_milvus
from m3kit_milvus.layout import Column, Key, Row, Said, Writing
from m3kit_milvus.payload import (
    DOCUMENT_FIELDS,
    MOST_TERMS,
    PARTITION,
    TERM_CHARS,
    TEXT_BYTES,
    TermsType,
    key,
    partition,
    to_document,
    to_row,
)

_MARK = "m3kit"

MOST_VECTORS = 4_096
"""How many ColBERT vectors a document may have: the most elements of an array."""

_COLBERT_TYPES: Mapping[ColbertType, DataType] = {
    "float32": DataType.FLOAT_VECTOR,
    "float16": DataType.FLOAT16_VECTOR,
    "int8": DataType.INT8_VECTOR,
}


@dataclass(frozen=True, slots=True)
class Own:
    """
    The layout that m3kit makes; `payload.py` says what a row carries.

    Args:
        manifest: What it holds.
        columns: Where the vectors are.
        terms_type: How `terms` are kept.
        partition_key: The field of the metadata that it is divided by.
        negates: Whether the engine knows `not`.
    """

    manifest: Manifest
    columns: Mapping[Rep, Column]
    terms_type: TermsType
    partition_key: str | None
    negates: bool

    key = "key"
    id_field = "id"
    document_fields: Sequence[str] = DOCUMENT_FIELDS
    writing: Writing = "upsert"

    def check_writable(self) -> None:
        """Let everything pass: it was made to be written."""

    def to_row(self, record: Record) -> Row:
        """Write a record; see `Layout.to_row`."""
        document, output = record.document, record.output
        if output.sparse is not None and len(output.sparse) and output.sparse.ids[-1] >= NO_TOKEN:
            raise DocumentError(
                f"document {document.id!r} has the token {output.sparse.ids[-1]}, and a Milvus "
                f"index's ids of tokens are below {NO_TOKEN}"
            )
        if output.colbert is not None:
            output = replace(output, colbert=self._kept(document, output.colbert))
        row = to_row(document, self.terms_type)
        if self.partition_key is not None:
            row[PARTITION] = partition(document, self.partition_key)
        return row | to_cells(output, self.columns, self.manifest.colbert.dtype)

    def _kept(self, document: Document, colbert: Floats) -> Floats:
        kept = self.manifest.colbert.stored(colbert)
        if len(kept) > MOST_VECTORS:
            raise DocumentError(
                f"document {document.id!r} has {len(kept)} ColBERT vectors, and Milvus holds "
                f"{MOST_VECTORS}; split it, or pool them by ColbertStorage(pool_factor=2)"
            )
        return kept

    def to_document(self, row: Row) -> Document:
        """Read a document; see `Layout.to_document`."""
        return to_document(row)

    def keys(self, ids: Sequence[str]) -> list[Key]:
        """Name rows; see `Layout.keys`."""
        return [key(id_) for id_ in dict.fromkeys(ids)]

    def has(self, keys: Sequence[Key]) -> str:
        """Keep rows; see `Layout.has`."""
        return has_keys([str(one) for one in keys])

    def say(self, where: Filter) -> Said:
        """Translate a filter, which Milvus keeps exactly if it knows `not`; see `Layout.say`."""
        said = where if self.negates else positive(where)
        return Said(to_milvus(said, self.terms_type, self.partition_key), exact=said == where)


def properties(
    manifest: Manifest, partition_key: str | None, given: Mapping[str, str]
) -> dict[str, str]:
    """Write the stamp into the collection's properties, beside those that the caller gives."""
    return {**given, _MARK: _text(manifest, partition_key)}


def schema(
    manifest: Manifest, terms_type: TermsType, partition_key: str | None
) -> CollectionSchema:
    """Describe a collection; its stamp is in the description, for servers that drop properties."""
    made = MilvusClient.create_schema(
        auto_id=False, enable_dynamic_field=True, description=_text(manifest, partition_key)
    )
    made.add_field("key", DataType.VARCHAR, is_primary=True, max_length=TERM_CHARS)
    if partition_key is not None:
        made.add_field(PARTITION, DataType.VARCHAR, max_length=TERM_CHARS, is_partition_key=True)
    for name in DOCUMENT_FIELDS:
        made.add_field(name, DataType.VARCHAR, max_length=TEXT_BYTES)
    if terms_type == "text":
        made.add_field("terms", DataType.VARCHAR, max_length=TEXT_BYTES)
    else:
        made.add_field(
            "terms",
            DataType.ARRAY,
            element_type=DataType.VARCHAR,
            max_capacity=MOST_TERMS["array"],
            max_length=TERM_CHARS,
        )
    if "dense" in manifest.reps:
        made.add_field("dense", DataType.FLOAT_VECTOR, dim=manifest.dim)
    if "sparse" in manifest.reps:
        made.add_field("sparse", DataType.SPARSE_FLOAT_VECTOR)
    if "colbert" in manifest.reps:
        token = MilvusClient.create_struct_field_schema()
        token.add_field(TOKEN, _COLBERT_TYPES[manifest.colbert.dtype], dim=manifest.dim)
        made.add_field(
            "colbert",
            DataType.ARRAY,
            element_type=DataType.STRUCT,
            struct_schema=token,
            max_capacity=MOST_VECTORS,
        )
    return made


def check_storage(manifest: Manifest) -> None:
    """
    Check that Milvus has numbers for the ColBERT vectors of a new index.

    Raises:
        RepresentationError: If it has none.
    """
    if "colbert" in manifest.reps and manifest.colbert.dtype not in _COLBERT_TYPES:
        raise RepresentationError(
            f"Milvus compares no ColBERT vectors kept as {manifest.colbert.dtype}; keep them as one "
            f"of {', '.join(_COLBERT_TYPES)}"
        )


def field(rep: Rep) -> str:
    """Return what an index and a search call a representation's field."""
    return f"colbert[{TOKEN}]" if rep == "colbert" else rep


def read_stamp(shape: Row, what: str) -> tuple[Manifest, str | None] | None:
    """
    Read the manifest and the partition key, or None where a collection bears no manifest.

    Milvus Lite keeps properties and drops descriptions, others the reverse.

    Raises:
        IndexNotFoundError: If the manifest cannot be read.
    """
    text = str(shape.get("properties", {}).get(_MARK) or shape.get("description", ""))
    try:
        kept = json.loads(text)
        manifest, partition_key = kept[_MARK], kept.get("partition_key")
    except (ValueError, TypeError, KeyError):
        return None
    return Manifest.from_json(manifest, what), partition_key


def terms_type(shape: Row, manifest: Manifest, what: str) -> TermsType:
    """Tell how terms are kept, and that no field was dropped, as engines do silently."""
    kept = {field["name"]: field["type"] for field in shape["fields"]}
    structs = {struct["name"] for struct in shape.get("struct_array_fields", ())}
    missing = {"key", *DOCUMENT_FIELDS, "terms", *manifest.reps} - set(kept) - structs
    if missing or not shape.get("enable_dynamic_field"):
        raise IndexNotFoundError(
            f"{what} lacks {', '.join(sorted(missing)) or 'dynamic fields'}, which its server has "
            "dropped or cannot hold; upgrade the server, and give another name"
        )
    return "array" if kept["terms"] == DataType.ARRAY else "text"


def lacks_colbert(shape: Row) -> bool:
    """Tell whether the server has dropped the field of ColBERT vectors, as it does silently."""
    named = (*shape["fields"], *shape.get("struct_array_fields", ()))
    return all(field["name"] != "colbert" for field in named)


def _text(manifest: Manifest, partition_key: str | None) -> str:
    kept: dict[str, Any] = {_MARK: manifest.to_json()}
    return json.dumps(kept if partition_key is None else {**kept, "partition_key": partition_key})
