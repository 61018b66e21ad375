"""Bytes to lines of text: encodings, and data that is no text."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from io import BufferedReader, TextIOWrapper
from typing import TypeAlias

from m3kit.ingest.documents import Reject

Line: TypeAlias = tuple[int, str]
"""A line's number, from 1, and its text with the line ending."""

_BOMS = {
    codecs.BOM_UTF32_LE: "utf-32",  # begins with UTF-16's, so it is tried first
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_MAGIC = {
    b"%PDF-": "PDF",
    b"PK\x03\x04": "a ZIP archive (as DOCX, XLSX and ODT are)",
    b"PAR1": "Parquet",
    b"\x1f\x8b": "gzip",
    b"\xd0\xcf\x11\xe0": "an old or encrypted Office document",
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
}
_HEAD = 8192
_UNDECODED = re.compile("[\udc80-\udcff]")
"""Where `surrogateescape` puts a byte that is not UTF-8."""


class NotTextError(ValueError):
    """A file that is no text; the message says what to do."""


def lines_of(stream: BufferedReader) -> Iterator[Line]:
    """
    Yield the lines of a text in UTF-8, or in UTF-16 or UTF-32 with a byte order mark.

    A byte that is not UTF-8 becomes a surrogate, which `undecoded` finds.

    Args:
        stream: At its beginning; left open.

    Raises:
        NotTextError: If the beginning is that of another kind of file, or UTF-16 is broken.
    """
    encoding = encoding_of(stream)
    text = TextIOWrapper(stream, encoding, errors="surrogateescape", newline="\n")
    try:
        yield from enumerate(text, start=1)
    except UnicodeDecodeError as error:
        raise NotTextError(f"not {encoding.upper()}: {error.reason}; save it as UTF-8") from error
    finally:
        text.detach()


def undecoded(text: str) -> str | None:
    """Return what is wrong with a text of `lines_of` that is not UTF-8; None if nothing is."""
    match = _UNDECODED.search(text)
    if match is None:
        return None
    byte = ord(match[0]) - 0xDC00
    return (
        f"not UTF-8: byte 0x{byte:02x} at character {match.start() + 1} of the line; save the file "
        "as UTF-8 (iconv -f WINDOWS-1252 -t UTF-8)"
    )


def undecoded_line(name: str, lines: Iterator[Line]) -> Reject | None:
    """Reject a text that is not UTF-8 at its first such line; None if there is none."""
    for number, line in lines:
        if reason := undecoded(line):
            return Reject(name, number, reason)
    return None


def whole_text(name: str, stream: BufferedReader) -> str | Reject:
    """Read a whole text, or reject it."""
    lines = list(lines_of(stream))
    return undecoded_line(name, iter(lines)) or "".join(line for _, line in lines)


def encoding_of(stream: BufferedReader) -> str:
    """
    Return the encoding of a text: UTF-8 where no byte order mark names another.

    Args:
        stream: At its beginning, where it stays.

    Raises:
        NotTextError: If it begins as another kind of file does.
    """
    head = stream.peek(_HEAD)[:_HEAD]
    for magic, kind in _MAGIC.items():
        if head.startswith(magic):
            raise NotTextError(f"this is {kind}, and no text; leave --format out, or convert it")
    for bom, encoding in _BOMS.items():
        if head.startswith(bom):
            return encoding
    if b"\0" in head:
        raise NotTextError(
            "this is binary data, or UTF-16 without a byte order mark, which is saved as UTF-8 by "
            "iconv -f UTF-16LE -t UTF-8"
        )
    return "utf-8-sig"
