"""Markdown: a document per section, or per file; front matter is its metadata."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from io import BufferedReader, StringIO
from typing import Any

from m3kit.ingest.documents import Item, Reject
from m3kit.ingest.fields import checked
from m3kit.ingest.formats import ReadOptions, Split
from m3kit.ingest.front_matter import FrontMatterError, without_front_matter
from m3kit.ingest.markdown import sections
from m3kit.ingest.texts import whole_text


def read(stream: BufferedReader, name: str, options: ReadOptions) -> Iterator[Item]:
    """Read a Markdown file."""
    text = whole_text(name, stream)
    if isinstance(text, Reject):
        yield text
        return
    try:
        matter = without_front_matter(text)
    except FrontMatterError as error:
        yield Reject(name, 1, str(error))
        return
    yield from markdown_items(
        matter.text, name, options, matter.metadata, first_line=matter.first_line
    )


def markdown_items(
    text: str,
    name: str,
    options: ReadOptions,
    metadata: Mapping[str, Any],
    *,
    first_line: int | None,
) -> Iterator[Item]:
    """
    Make documents of Markdown.

    Args:
        text: The Markdown.
        name: The file's name.
        options: A document per section, or for the file.
        metadata: Of each document; it takes precedence over what the sections add.
        first_line: The number of the text's first line in the file; None where the file has no
            such lines.
    """
    if options.split is Split.file:
        if text.strip():
            yield checked(
                name, text.strip(), {"source": name, **metadata}, source=name, line=first_line
            )
        return
    lines = enumerate(StringIO(text), start=first_line or 1)
    for number, section in enumerate(sections(lines), start=1):
        fields: dict[str, Any] = {"source": name}
        if section.headings:
            fields |= {"title": section.headings[-1], "headings": list(section.headings)}
        yield checked(
            f"{name}#{number}",
            section.text,
            {**fields, **metadata},
            source=name,
            line=None if first_line is None else section.line,
        )
