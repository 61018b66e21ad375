"""Rows of files, as JSON lines or columns, compressed or not."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO, TypeAlias, cast

from m3kit.evaluation.dataset import DatasetError
from m3kit.records import Document

Row: TypeAlias = Mapping[str, Any]

_IDS = ("_id", "id", "docid", "doc_id", "query_id", "qid")


def json_rows(path: Path) -> Iterator[Row]:
    """
    Yield the objects of a file of JSON lines, which may be gzipped.

    Raises:
        DatasetError: If the file is not there, or a line is not an object.
    """
    for number, line in text_lines(path):
        try:
            row = json.loads(line)
        except ValueError as error:
            raise DatasetError(f"{path}:{number}: not JSON: {error}") from None
        if not isinstance(row, dict):
            raise DatasetError(f"{path}:{number}: not a JSON object: {line[:80]}")
        yield row


def text_lines(path: Path) -> Iterator[tuple[int, str]]:
    """
    Yield the lines that are not blank, with their numbers.

    Raises:
        DatasetError: If the file is not there.
    """
    try:
        with _opened(path) as file:
            for number, line in enumerate(file, start=1):
                if stripped := line.strip("\r\n"):
                    yield number, stripped
    except FileNotFoundError:
        raise DatasetError(f"{path}: there is no such file") from None


def _opened(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return cast(TextIO, gzip.open(path, "rt", encoding="utf-8"))
    return path.open(encoding="utf-8-sig")


def id_of(row: Row, what: str) -> str:
    """
    Return the id of a row, under any of the names that collections use.

    Raises:
        DatasetError: If it has none.
    """
    for name in _IDS:
        if (value := row.get(name)) is not None and str(value):
            return str(value)
    raise DatasetError(f"{what}: a row has none of {', '.join(_IDS)}: {str(dict(row))[:120]}")


def value_of(row: Row, name: str, what: str) -> Any:
    """
    Return a field that a row must have.

    Raises:
        DatasetError: If it has not.
    """
    if row.get(name) is None:
        raise DatasetError(f"{what}: a row has no {name}: {str(dict(row))[:120]}")
    return row[name]


def document(row: Row, separator: str, what: str) -> Document:
    """Make a document of a row: its title, if it has one, in front of its text."""
    title, text = str(row.get("title") or ""), str(row.get("text") or "")
    joined = separator.join(part for part in (title, text) if part)
    return Document(id_of(row, what), joined.strip())
