"""The kinds of files that are read, and how a text becomes documents."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath


class Format(StrEnum):
    """The format of a file."""

    jsonl = "jsonl"
    json = "json"
    csv = "csv"
    parquet = "parquet"
    txt = "txt"
    md = "md"
    html = "html"
    pdf = "pdf"
    docx = "docx"


class Split(StrEnum):
    """The documents of a text: its natural parts by default, or these."""

    paragraphs = "paragraphs"
    lines = "lines"
    file = "file"


SUFFIXES = {
    ".jsonl": Format.jsonl,
    ".ndjson": Format.jsonl,
    ".json": Format.json,
    ".csv": Format.csv,
    ".tsv": Format.csv,
    ".parquet": Format.parquet,
    ".txt": Format.txt,
    ".md": Format.md,
    ".markdown": Format.md,
    ".html": Format.html,
    ".htm": Format.html,
    ".pdf": Format.pdf,
    ".docx": Format.docx,
}
"""The format of a file by its suffix, in lower case."""


def format_of(name: str) -> Format | None:
    """Return the format of a file by its suffix; None if that is unknown."""
    return SUFFIXES.get(PurePosixPath(name).suffix.lower())


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadOptions:
    """
    How files become documents.

    Args:
        text_fields: The fields of a record (JSONL, JSON, CSV, Parquet) that have its text; several
            are joined by a blank line, and those that a record lacks are left out.
        id_field: The field of a record that has its id, which every record must have then; by
            default `id`, where there is one.
        split: The documents of a text. By default TXT is read by paragraphs, Markdown, HTML and
            DOCX by sections, PDF by pages. `file` is for all of these, `paragraphs` and `lines`
            for TXT.
    """

    text_fields: tuple[str, ...] = ("text",)
    id_field: str | None = None
    split: Split | None = None
