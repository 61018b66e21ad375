"""DOCX, converted to Markdown and read as that: a document per section, or per file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from io import BufferedReader
from zipfile import BadZipFile, ZipFile

import docx
from docx.document import Document as Docx
from docx.opc.exceptions import PackageNotFoundError
from docx.table import Table
from docx.text.paragraph import Paragraph
from lxml.etree import LxmlError

from m3kit.ingest.documents import Item, Reject
from m3kit.ingest.formats import ReadOptions
from m3kit.ingest.readers.md import markdown_items

_MAX_BYTES = 2**29
"""Of a file's parts, unpacked, so that a small file cannot fill the memory."""

_HEADING = re.compile(r"heading ([1-9])", re.IGNORECASE)
_OLD = b"\xd0\xcf\x11\xe0"


def read(stream: BufferedReader, name: str, options: ReadOptions) -> Iterator[Item]:
    """Read paragraphs, headings, lists and tables; headers, footers and comments are left out."""
    if stream.peek(4).startswith(_OLD):
        yield Reject(name, None, "an old .doc, or encrypted; save it as .docx without a password")
        return
    try:
        document = _opened(stream)
    except (BadZipFile, KeyError, LxmlError, PackageNotFoundError, ValueError) as error:
        yield Reject(name, None, f"not a readable DOCX: {error}; save it anew")
        return
    title = document.core_properties.title
    text = "\n\n".join(_blocks(document))
    yield from markdown_items(
        text, name, options, {"title": title} if title else {}, first_line=None
    )


def _opened(stream: BufferedReader) -> Docx:
    with ZipFile(stream) as parts:
        size = sum(part.file_size for part in parts.infolist())
    if size > _MAX_BYTES:
        raise ValueError(f"its parts have {size} bytes, and {_MAX_BYTES} are the most")
    stream.seek(0)
    return docx.Document(stream)


def _blocks(document: Docx) -> Iterator[str]:
    """Yield blocks of Markdown; the items of a list are a block each."""
    top = 1 + any(_style(paragraph) == "Title" for paragraph in document.paragraphs)
    for block in document.iter_inner_content():
        text = _table(block) if isinstance(block, Table) else _paragraph(block, top)
        if text:
            yield text


def _paragraph(paragraph: Paragraph, top: int) -> str:
    """Convert a paragraph; the level of `Heading 1` is `top`, since a title stands above it."""
    text, style = paragraph.text.strip(), _style(paragraph)
    level = _level(style, top)
    if text and level:
        return f"{'#' * level} {' '.join(text.split())}"
    return f"- {text}" if text and style.startswith("List") else text


def _level(style: str, top: int) -> int:
    heading = _HEADING.fullmatch(style)
    if heading:
        return min(int(heading[1]) - 1 + top, 6)
    return 1 if style == "Title" else 0


def _style(paragraph: Paragraph) -> str:
    return (paragraph.style.name if paragraph.style else None) or ""


def _table(table: Table) -> str:
    rows = [[" ".join(cell.text.split()) for cell in row.cells] for row in table.rows]
    if rows:
        rows.insert(1, ["---"] * len(rows[0]))
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)
