"""Markdown: a document per section, or per file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from io import BufferedReader, StringIO
from typing import Any

from m3kit.ingest.documents import Item, Reject, SourceDocument
from m3kit.ingest.formats import ReadOptions, Split
from m3kit.ingest.markdown import sections
from m3kit.ingest.texts import whole_text


def read(stream: BufferedReader, name: str, options: ReadOptions) -> Iterator[Item]:
    """Read a Markdown file."""
    text = whole_text(name, stream)
    if isinstance(text, Reject):
        yield text
    else:
        yield from markdown_items(text, name, options)


def markdown_items(
    text: str, name: str, options: ReadOptions, metadata: Mapping[str, Any] | None = None
) -> Iterator[Item]:
    """Make documents of Markdown text, each with this metadata besides its headings."""
    shared = {"source": name, **(metadata or {})}
    if options.split is Split.file:
        if text.strip():
            yield SourceDocument(name, text.strip(), shared, source=name, line=1)
        return
    lines = enumerate(StringIO(text), start=1)
    for number, section in enumerate(sections(lines), start=1):
        fields = dict(shared)
        if section.headings:
            fields = {"title": section.headings[-1], "headings": list(section.headings), **shared}
        id_ = f"{name}#{number}"
        yield SourceDocument(id_, section.text, fields, source=name, line=section.line)
