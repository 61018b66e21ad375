"""One collection behind `pymilvus`: its shape, its rows, and the differences between engines."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from threading import RLock
from typing import Any

import numpy as np
from pymilvus import CollectionSchema, DataType, MilvusClient, MilvusException

from m3kit.batches import batched
from m3kit.index import NoIndexError
from m3kit.stamp import Stamp
from m3kit.vectors import M3Output, Rep, Sparse
from m3kit_milvus.filters import EVERYTHING, has_keys
from m3kit_milvus.payload import (
    DOCUMENT_FIELDS,
    MOST_TERMS,
    TERM_CHARS,
    TEXT_BYTES,
    TermsType,
)
from m3kit_milvus.quiet import silenced

Row = Mapping[str, Any]

_MARK = "m3kit"

NO_TOKEN = 2**32 - 2
"""
The last token id that Milvus takes, and the only one of a text without a lexical weight.

Milvus Lite refuses an empty sparse vector. No query seeks this token, and no answer shows it.
"""

_NO_WEIGHT = 1e-6

_PAGE = 256
_KEYS = 4_096

_FLUSHED = 1_000
"""
How many rows Milvus Lite holds unflushed.

It searches those row by row in Python, some 0.1 ms each, and flushes a thousand in as much.
"""

_LITE = RLock()
"""
Milvus Lite is not made for writers that meet; it is Python, so that one lock costs little.

A lock of this process: what others do to one `milvus-lite server` is their affair.
"""

_INDEXES: Mapping[str, Mapping[str, str]] = {
    "dense": {"index_type": "FLAT", "metric_type": "IP"},
    "sparse": {"index_type": "SPARSE_INVERTED_INDEX", "metric_type": "IP"},
}
_SERVER_INDEXES: Mapping[str, Mapping[str, str]] = {"terms": {"index_type": "INVERTED"}}
"""What Milvus Lite has none of."""


@dataclass(frozen=True, slots=True)
class Found:
    """A row that a search found."""

    id: str
    score: float
    output: M3Output


class Rows:
    """
    The rows of a collection, whichever engine holds them.

    Args:
        client: A connected client.
        name: The collection.
        timeout: How many seconds each call may take.
    """

    def __init__(self, client: MilvusClient, name: str, timeout: float) -> None:
        self._client = client
        self._name = name
        self._within: dict[str, Any] = {"timeout": timeout}
        self._lite = _is_lite(client, timeout)
        self._guard: AbstractContextManager[object] = _LITE if self._lite else nullcontext()
        self._unflushed = 0
        self.terms_type: TermsType = "text"

    def open(self, new: Callable[[], Stamp], what: str) -> Stamp:
        """Read the collection's stamp, making the collection or what it lacks; and load it."""
        with self._guard:
            if not self._client.has_collection(self._name, **self._within):
                self._make(new())
            shape = self._client.describe_collection(self._name, **self._within)
            stamp = _stamp(shape, what)
            self.terms_type = _terms_type(shape, stamp, what)
            self._index(["terms", *stamp.reps])
            self._client.load_collection(self._name, **self._within)
        return stamp

    def write(self, rows: Sequence[Row]) -> None:
        """Write or replace rows."""
        with self._guard:
            self._client.upsert(self._name, [*rows], **self._within)
            self._unflushed += len(rows)
            if self._lite and self._unflushed >= _FLUSHED:
                self.flush()

    def nearest(self, rep: Rep, query: M3Output, where: str, limit: int) -> list[Found]:
        """Return the rows that match and are nearest by the engine's scores, best first."""
        with self._guard:
            (hits,) = self._client.search(
                self._name,
                data=[to_vectors(query)[rep]],
                anns_field=rep,
                search_params={"metric_type": "IP"},
                filter=where,
                limit=limit,
                output_fields=["id", rep],
                consistency_level="Strong",
                **self._within,
            )
        rows = [(hit["distance"], hit["entity"]) for hit in hits]
        return [Found(row["id"], score, to_output(row, [rep])) for score, row in rows]

    def read(
        self, keys: Sequence[str], reps: Collection[Rep], fields: Sequence[str] = DOCUMENT_FIELDS
    ) -> Iterator[Row]:
        """Read the rows of these keys that there are, in any order."""
        for some in batched(keys, _PAGE):
            yield from self._query(has_keys(some), [*fields, *reps])

    def keys(self, where: str) -> Iterator[str]:
        """Stream the keys of the rows that match."""
        if self._lite:
            yield from (row["key"] for row in self._query(where, ["key"]))
            return
        pages = self._client.query_iterator(
            self._name,
            batch_size=_KEYS,
            filter=where,
            output_fields=["key"],
            consistency_level="Strong",
            **self._within,
        )
        try:
            while page := pages.next():
                yield from (row["key"] for row in page)
        finally:
            pages.close()

    def delete(self, where: str) -> None:
        """Forget the rows that match."""
        with self._guard:
            self._client.delete(self._name, filter=where or EVERYTHING, **self._within)

    def count(self, where: str) -> int:
        """Count the rows that match."""
        if self._lite and where:  # whose own count reads whole rows
            return len(self._query(where, ["key"]))
        (row,) = self._query(where, ["count(*)"])
        return int(row["count(*)"])

    def flush(self) -> None:
        """Return when what was written is durable and searchable."""
        with self._guard:
            self._client.flush(self._name, **self._within)
            self._unflushed = 0

    def _query(self, where: str, fields: Sequence[str]) -> list[Row]:
        with self._guard:
            return list(
                self._client.query(
                    self._name,
                    filter=where,
                    output_fields=[*fields],
                    consistency_level="Strong",
                    **self._within,
                )
            )

    def _make(self, stamp: Stamp) -> None:
        try:
            with silenced():
                self._client.create_collection(
                    self._name,
                    schema=_schema(stamp, "text" if self._lite else "array"),
                    properties={_MARK: _text(stamp)},
                    consistency_level="Strong",
                    **self._within,
                )
        except MilvusException:
            if not self._client.has_collection(self._name, **self._within):
                raise  # else another worker was faster, and its stamp is checked

    def _index(self, fields: Collection[str]) -> None:
        """Make the indexes that are not there, as where a process died before it made them."""
        known = _INDEXES if self._lite else {**_INDEXES, **_SERVER_INDEXES}
        for field in known.keys() & set(fields):
            if not self._indexes(field):
                self._make_index(field, known[field])

    def _make_index(self, field: str, how: Mapping[str, str]) -> None:
        params = self._client.prepare_index_params()
        params.add_index(field, index_name=field, **how)
        try:
            with silenced():
                self._client.create_index(self._name, params, sync=False, **self._within)
        except MilvusException:
            if not self._indexes(field):
                raise  # else another worker was faster

    def _indexes(self, field: str) -> list[str]:
        return list(self._client.list_indexes(self._name, field_name=field, **self._within))


def to_vectors(output: M3Output) -> dict[str, Any]:
    """Write vectors under the names of their fields."""
    vectors: dict[str, Any] = {}
    if output.dense is not None:
        vectors["dense"] = output.dense.astype(np.float32, copy=False)
    if output.sparse is not None:
        vectors["sparse"] = output.sparse.to_dict() or {NO_TOKEN: _NO_WEIGHT}
    return vectors


def to_output(row: Row, reps: Collection[Rep]) -> M3Output:
    """Read the vectors of a row."""
    return M3Output(
        dense=np.array(row["dense"], np.float32) if "dense" in reps else None,
        sparse=_sparse(row["sparse"]) if "sparse" in reps else None,
    )


def _sparse(weights: Mapping[int, float]) -> Sparse:
    return Sparse.from_dict({id_: one for id_, one in weights.items() if id_ != NO_TOKEN})


def _is_lite(client: MilvusClient, timeout: float) -> bool:
    return str(client.get_server_version(timeout=timeout)).startswith("milvus_lite")


def _schema(stamp: Stamp, terms_type: TermsType) -> CollectionSchema:
    """Describe a collection; its stamp is in the description, for servers that drop properties."""
    schema = MilvusClient.create_schema(
        auto_id=False, enable_dynamic_field=True, description=_text(stamp)
    )
    schema.add_field("key", DataType.VARCHAR, is_primary=True, max_length=TERM_CHARS)
    for name in DOCUMENT_FIELDS:
        schema.add_field(name, DataType.VARCHAR, max_length=TEXT_BYTES)
    if terms_type == "text":
        schema.add_field("terms", DataType.VARCHAR, max_length=TEXT_BYTES)
    else:
        schema.add_field(
            "terms",
            DataType.ARRAY,
            element_type=DataType.VARCHAR,
            max_capacity=MOST_TERMS["array"],
            max_length=TERM_CHARS,
        )
    if "dense" in stamp.reps:
        schema.add_field("dense", DataType.FLOAT_VECTOR, dim=stamp.dim)
    if "sparse" in stamp.reps:
        schema.add_field("sparse", DataType.SPARSE_FLOAT_VECTOR)
    return schema


def _text(stamp: Stamp) -> str:
    return json.dumps({_MARK: stamp.to_json()})


def _stamp(shape: Row, what: str) -> Stamp:
    """Read the stamp: Milvus Lite keeps properties and drops descriptions, others the reverse."""
    text = str(shape.get("properties", {}).get(_MARK) or shape.get("description", ""))
    try:
        kept = json.loads(text)[_MARK]
    except (ValueError, TypeError, KeyError):
        raise NoIndexError(
            f"{what} bears no stamp of m3kit's: others made it; give another name"
        ) from None
    return Stamp.from_json(kept, what)


def _terms_type(shape: Row, stamp: Stamp, what: str) -> TermsType:
    """Tell how terms are kept, and that no field was dropped, as engines do silently."""
    kept = {field["name"]: field["type"] for field in shape["fields"]}
    missing = {"key", *DOCUMENT_FIELDS, "terms", *stamp.reps} - set(kept)
    if missing or not shape.get("enable_dynamic_field"):
        raise NoIndexError(
            f"{what} lacks {', '.join(sorted(missing)) or 'dynamic fields'}, which its server has "
            "dropped or cannot hold; upgrade the server, and give another name"
        )
    return "array" if kept["terms"] == DataType.ARRAY else "text"
