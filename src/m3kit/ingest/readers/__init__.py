"""A reader for each format, imported when a file of its format appears."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from io import BufferedReader
from typing import TypeAlias

from m3kit.ingest.documents import Item, SourceError
from m3kit.ingest.formats import Format, ReadOptions

Reader: TypeAlias = Callable[[BufferedReader, str, ReadOptions], Iterator[Item]]
"""Reads a stream, whose name is given, into documents and rejects."""

SEEKING = frozenset({Format.csv, Format.txt, Format.parquet, Format.pdf, Format.docx})
"""The formats whose readers need a stream that can seek."""


def load_reader(format_: Format) -> Reader:
    """
    Import the reader of a format.

    Raises:
        SourceError: If the package that it needs is not installed.
    """
    try:
        reader: Reader = import_module(f"m3kit.ingest.readers.{format_}").read
    except ModuleNotFoundError as error:
        raise SourceError(
            f"reading {format_.upper()} needs {error.name}: pip install 'm3kit[ingest]'"
        ) from error
    return reader
