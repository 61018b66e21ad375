"""
Documents from JSONL, CSV, plain text and Markdown, read as a stream.

    JSONL     a document per line: an object with `text` and an optional `id`. The object
              `metadata` and all other fields are its metadata.
    CSV       a document per row, by the same rule; the first row names the fields. The separator is
              the most frequent of comma, semicolon and tab in the first row, outside quotes. All
              values stay strings.
    TXT       a document per paragraph (or line, or file); metadata: source.
    Markdown  a document per section; metadata: source, title, headings.

Without an id, a document's id is its file and line, `docs/faq.txt:12`, and a section's its file and
heading, `docs/faq.md#how-to-start`.
"""

from __future__ import annotations

import csv
import json
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain
from typing import Any, assert_never

from m3kit.cli.exit_codes import InputError
from m3kit.cli.markdown import sections
from m3kit.cli.sources import Format, Line, Source
from m3kit.records import Document

_log = logging.getLogger(__name__)

_QUOTED = re.compile(r'(?<![^,;\t])"(?:[^"]|"")*"?')
"""A quoted field of CSV; a quote inside an unquoted field is an ordinary character."""


class Split(StrEnum):
    """The documents of a plain text."""

    paragraphs = "paragraphs"
    lines = "lines"
    file = "file"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """
    How files become documents.

    Args:
        text_field: The field of a JSONL object or a CSV row that has its text.
        id_field: The field that has its id.
        split: The documents of a plain text.
        on_bytes: Called with the number of bytes just read.
    """

    text_field: str = "text"
    id_field: str = "id"
    split: Split = Split.paragraphs
    on_bytes: Callable[[int], object] = lambda _: None

    def documents(self, sources: Iterable[Source]) -> Iterator[Document]:
        """
        Read all documents; a source without any is a warning.

        Raises:
            InputError: At the first document that cannot be read, naming file and line.
        """
        for source in sources:
            documents = self._read(source)
            first = next(documents, None)
            if first is None:
                _log.warning("%s holds no document", source.name)
            else:
                yield from chain([first], documents)

    def _read(self, source: Source) -> Iterator[Document]:
        lines = source.lines(self.on_bytes)
        match source.format:
            case Format.jsonl:
                return self._jsonl(source.name, lines)
            case Format.csv:
                return self._csv(source.name, lines)
            case Format.txt:
                return _txt(source.name, lines, self.split)
            case Format.md:
                return _markdown(source.name, lines)
            case _:
                assert_never(source.format)

    def _jsonl(self, name: str, lines: Iterator[Line]) -> Iterator[Document]:
        for number, line in lines:
            if line.strip():
                at = f"{name}:{number}"
                yield self._document(_object(line.rstrip(), at), at)

    def _csv(self, name: str, lines: Iterator[Line]) -> Iterator[Document]:
        rows = _rows(name, lines)
        first, names = next(rows, (name, []))
        fields = [field.strip() for field in names]
        if len(set(fields)) < len(fields):
            raise InputError(f"{first}: two columns have one name in {', '.join(fields)}")
        for at, row in rows:
            if len(row) != len(fields):
                raise InputError(
                    f"{at}: {len(row)} fields, where the first row names {len(fields)}; "
                    "quote a text that has the separator in it"
                )
            yield self._document(dict(zip(fields, row, strict=True)), at)

    def _document(self, fields: dict[str, Any], at: str) -> Document:
        if self.text_field not in fields:
            raise InputError(
                f"{at}: no field {self.text_field!r}; the fields are {', '.join(fields) or 'none'}:"
                " name the field that has the text with --text-field"
            )
        text = fields.pop(self.text_field)
        if not isinstance(text, str):
            raise InputError(f"{at}: the field {self.text_field!r} is no string: {_brief(text)}")
        id_ = fields.pop(self.id_field, at)
        if isinstance(id_, int) and not isinstance(id_, bool):
            id_ = str(id_)
        if not isinstance(id_, str):
            raise InputError(f"{at}: the field {self.id_field!r} is no string: {_brief(id_)}")
        return _to_document(id_, text, _metadata(fields, at), at)


def _to_document(id_: str, text: str, metadata: Mapping[str, Any], at: str) -> Document:
    try:
        return Document(id_, text, metadata)
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"{at}: {error}") from error


def _metadata(fields: dict[str, Any], at: str) -> dict[str, Any]:
    """Merge the object `metadata` with the other fields, which must not contradict it."""
    if not isinstance(fields.get("metadata", {}), Mapping | None):
        return fields
    inner = fields.pop("metadata", None) or {}
    for key in inner.keys() & fields.keys():
        if inner[key] != fields[key]:
            raise InputError(f"{at}: {key!r} is both in metadata and beside it; keep one of them")
    return {**inner, **fields}


def _object(line: str, at: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except json.JSONDecodeError as error:
        raise InputError(f"{at}: not JSON: {error.msg} at column {error.colno}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{at}: JSON that cannot be read: {error}") from error
    if not isinstance(value, dict):
        raise InputError(f"{at}: a JSON object is expected on every line, not {_brief(value)}")
    return value


def _rows(name: str, lines: Iterator[Line]) -> Iterator[tuple[str, list[str]]]:
    """Yield rows with their positions, `file:line`; empty ones are skipped."""
    csv.field_size_limit(2**31 - 1)  # a text may be long
    start, header = next((line for line in lines if line[1].strip()), (1, ""))
    delimiter = max(",;\t", key=_QUOTED.sub("", header).count)
    reader = csv.reader(
        chain([header], (line for _, line in lines)), delimiter=delimiter, strict=True
    )
    while True:
        at = f"{name}:{start + reader.line_num}"
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise InputError(f"{at}: not CSV: {error} (is a quote left open?)") from error
        if row is None:
            return
        if row:
            yield at, row


def _txt(name: str, lines: Iterator[Line], split: Split) -> Iterator[Document]:
    parts: Iterator[list[Line]]
    match split:
        case Split.lines:
            parts = ([line] for line in lines if line[1].strip())
        case Split.paragraphs:
            parts = _paragraphs(lines)
        case Split.file:
            parts = (whole for whole in [list(lines)] if any(line.strip() for _, line in whole))
        case _:
            assert_never(split)
    for part in parts:
        at = name if split is Split.file else f"{name}:{part[0][0]}"
        yield _to_document(at, "".join(line for _, line in part).strip(), {"source": name}, at)


def _paragraphs(lines: Iterable[Line]) -> Iterator[list[Line]]:
    """Group lines into paragraphs, which blank lines separate."""
    part: list[Line] = []
    for line in chain(lines, [(0, "")]):
        if line[1].strip():
            part.append(line)
        elif part:
            yield part
            part = []


def _markdown(name: str, lines: Iterable[Line]) -> Iterator[Document]:
    for section in sections(lines):
        metadata: dict[str, str | Sequence[str]] = {"source": name}
        if section.headings:
            metadata |= {"title": section.headings[-1], "headings": list(section.headings)}
        id_ = f"{name}#{section.slug}" if section.slug else name
        yield _to_document(id_, section.text, metadata, f"{name}:{section.line}")


def _brief(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else f"{text[:39]}…"
