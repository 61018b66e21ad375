"""Parquet: a document per row, read in batches."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from io import BufferedReader
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow.parquet import ParquetFile

from m3kit.frameworks import to_json
from m3kit.ingest.documents import Item, Reject
from m3kit.ingest.fields import to_item
from m3kit.ingest.formats import ReadOptions

_log = logging.getLogger(__name__)

_BATCH = 256
"""Rows that are Python objects at a time."""


def read(stream: BufferedReader, name: str, options: ReadOptions) -> Iterator[Item]:
    """
    Read rows.

    Dates and times become ISO 8601, decimals text, NaN null; binary columns are left out.
    """
    try:
        file = ParquetFile(stream)
        columns = _columns(file.schema_arrow, name)
        batches = file.iter_batches(_BATCH, columns=columns)
        for number, row in enumerate(_rows(batches), start=1):
            yield to_item(row, options, source=name, number=number)
    except (pa.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())
        yield Reject(name, None, f"not a readable Parquet file: {reason}; write it anew")


def _columns(schema: pa.Schema, name: str) -> list[str]:
    binary = [field.name for field in schema if field.type in {pa.binary(), pa.large_binary()}]
    if binary:
        _log.warning("%s: binary columns are left out: %s", name, ", ".join(binary))
    return [field.name for field in schema if field.name not in binary]


def _rows(batches: Iterator[pa.RecordBatch]) -> Iterator[dict[str, Any]]:
    for batch in batches:
        columns = [_plain(column) for column in batch.columns]
        for values in zip(*(column.to_pylist() for column in columns), strict=True):
            yield {
                name: to_json(value) for name, value in zip(batch.schema.names, values, strict=True)
            }


def _plain(column: pa.Array) -> pa.Array:
    if pa.types.is_floating(column.type):
        return pc.if_else(pc.is_nan(column), None, column)
    if pa.types.is_timestamp(column.type) and column.type.unit == "ns":  # finer than Python's
        return column.cast(pa.timestamp("us", column.type.tz), safe=False)
    return column
