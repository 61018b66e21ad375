"""CSV: a document per row; the first row names the fields."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from io import BufferedReader
from itertools import chain
from typing import TypeAlias

from m3kit.ingest.columns import typed_columns, typed_values
from m3kit.ingest.documents import Item, Reject
from m3kit.ingest.fields import to_item
from m3kit.ingest.formats import ReadOptions
from m3kit.ingest.texts import Line, lines_of, undecoded

_QUOTED = re.compile(r'(?<![^,;\t])"(?:[^"]|"")*"?')
"""A quoted field of CSV; a quote inside an unquoted field is an ordinary character."""

Row: TypeAlias = tuple[int, list[str] | csv.Error]
"""A row, or what is wrong with it, and the line on which it begins."""

_NOT_CSV = "not CSV: {} (is a quote left open?)"


def read(stream: BufferedReader, name: str, options: ReadOptions) -> Iterator[Item]:
    """
    Read rows; empty ones do not count.

    The separator is the most frequent of comma, semicolon and tab in the first row, outside quotes.
    The file is read twice: first for the columns that hold numbers or booleans.
    """
    line, fields = _header(_rows(lines_of(stream)))
    if not isinstance(fields, list):
        yield Reject(name, line, fields)
        return
    stream.seek(0)
    typed = _typed(stream, fields, options)
    stream.seek(0)
    rows = _rows(lines_of(stream))
    _header(rows)
    for number, (line, row) in enumerate(rows, start=1):
        if isinstance(row, csv.Error):
            yield Reject(name, line, _NOT_CSV.format(row))
        elif reason := _wrong(row, fields):
            yield Reject(name, line, reason)
        else:
            values = typed_values(dict(zip(fields, row, strict=True)), typed)
            yield to_item(values, options, source=name, number=number, line=line)


def _header(rows: Iterator[Row]) -> tuple[int, list[str] | str]:
    """Read the names of the fields, or what is wrong with them, and their line."""
    line, names = next(rows, (1, []))
    if isinstance(names, csv.Error):
        return line, _NOT_CSV.format(names)
    fields = [field.strip() for field in names]
    if reason := next(filter(None, map(undecoded, fields)), None):
        return line, reason
    if len(set(fields)) < len(fields):
        return line, f"two columns have one name in {', '.join(fields)}"
    return line, fields


def _typed(stream: BufferedReader, fields: list[str], options: ReadOptions) -> frozenset[str]:
    rows = _rows(lines_of(stream))
    _header(rows)
    whole = (row for _, row in rows if isinstance(row, list) and len(row) == len(fields))
    texts = {*options.text_fields, options.id_field or "id"}
    return typed_columns(fields, whole) - texts


def _wrong(row: list[str], fields: list[str]) -> str | None:
    if len(row) != len(fields):
        return (
            f"{len(row)} fields, where the first row names {len(fields)}; "
            "quote a text that has the separator in it"
        )
    return next(filter(None, map(undecoded, row)), None)


def _rows(lines: Iterator[Line]) -> Iterator[Row]:
    """Yield rows, from the first that is not blank."""
    csv.field_size_limit(2**31 - 1)  # a text may be long
    start, header = next((line for line in lines if line[1].strip()), (1, ""))
    delimiter = max(",;\t", key=_QUOTED.sub("", header).count)
    reader = csv.reader(
        chain([header], (line for _, line in lines)), delimiter=delimiter, strict=True
    )
    while True:
        line = start + reader.line_num
        try:
            row = next(reader, None)
        except csv.Error as error:
            yield line, error
        else:
            if row is None:
                return
            if row:
                yield line, row
