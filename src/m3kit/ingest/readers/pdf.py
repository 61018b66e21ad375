"""PDF: a document per page, or per file with its pages separated by form feeds."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from io import BufferedReader
from typing import Any

from pypdf import PdfReader
from pypdf.errors import DependencyError, FileNotDecryptedError

from m3kit.ingest.documents import Item, Reject
from m3kit.ingest.fields import checked
from m3kit.ingest.formats import ReadOptions, Split

PAGE_BREAK = "\n\f"
"""Between the pages of a file that is a single document; pdftotext writes form feeds, too."""

logging.getLogger("pypdf").addHandler(logging.NullHandler())  # its remarks are for who listens


def read(stream: BufferedReader, name: str, options: ReadOptions) -> Iterator[Item]:
    """Read the text of pages; one without text is left out, a file without any is rejected."""
    try:
        reader = PdfReader(stream)
        if reader.is_encrypted and not reader.decrypt(""):
            yield Reject(name, None, _ENCRYPTED)
            return
        count, metadata = len(reader.pages), _metadata(reader, name)
    except (DependencyError, FileNotDecryptedError):
        yield Reject(name, None, _ENCRYPTED)
        return
    except Exception as error:  # noqa: BLE001  # what is broken raises anything, says pypdf
        yield Reject(name, None, f"not a readable PDF: {_line(error)}; repair it, with qpdf say")
        return
    texts: list[str] = []
    rejected = False
    for number in range(count):
        text = _text(reader, number, name)
        if isinstance(text, Reject):
            rejected = True
            yield text
            text = ""
        texts.append(text)
        if text and options.split is not Split.file:
            fields = {**metadata, "page": number + 1}
            yield checked(f"{name}#{number + 1}", text, fields, source=name, line=None)
    if any(texts):
        if options.split is Split.file:
            yield checked(name, PAGE_BREAK.join(texts), metadata, source=name, line=None)
    elif not rejected:
        yield Reject(
            name, None, f"no text on {count} pages; if they are images, run OCR (ocrmypdf)"
        )


_ENCRYPTED = "the PDF is encrypted with a password; save it without (qpdf --decrypt)"


def _metadata(reader: PdfReader, name: str) -> dict[str, Any]:
    title = reader.metadata.title if reader.metadata else None
    return {"source": name} | ({"title": title} if isinstance(title, str) and title else {})


def _text(reader: PdfReader, number: int, name: str) -> str | Reject:
    try:
        text = reader.pages[number].extract_text()
    except Exception as error:  # noqa: BLE001  # what is broken raises anything, says pypdf
        return Reject(name, None, f"page {number + 1} cannot be read: {_line(error)}")
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").strip()


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
