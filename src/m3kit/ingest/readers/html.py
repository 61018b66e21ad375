"""HTML, converted to Markdown and read as that: a document per section, or per file."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from io import BufferedReader

from bs4 import BeautifulSoup, UnusualUsageWarning
from bs4.dammit import EncodingDetector
from markdownify import MarkdownConverter

from m3kit.ingest.documents import Item, Reject
from m3kit.ingest.formats import ReadOptions
from m3kit.ingest.readers.md import markdown_items
from m3kit.ingest.texts import NotTextError, encoding_of

_INVISIBLE = ["head", "script", "style", "template", "noscript", "svg", "iframe"]
_CONVERTER = MarkdownConverter(
    heading_style="ATX",
    strip=["a", "img"],  # an address says nothing about the text
    bullets="-",
    escape_asterisks=False,
    escape_underscores=False,
)


def read(stream: BufferedReader, name: str, options: ReadOptions) -> Iterator[Item]:
    """Read a page, in the encoding that it declares, else in UTF-8."""
    encoding = encoding_of(stream)
    data = stream.read()
    if encoding.startswith("utf-8"):
        encoding = EncodingDetector.find_declared_encoding(data, is_html=True) or encoding
    try:
        soup = _parsed(data.decode(encoding))
    except (UnicodeDecodeError, LookupError) as error:
        raise NotTextError(
            f"not {encoding.upper()}: {error}; declare the encoding in <meta charset=…>"
        ) from error
    title = " ".join(soup.title.get_text().split()) if soup.title else ""
    for element in soup(_INVISIBLE):
        element.decompose()
    try:
        text = _CONVERTER.convert_soup(soup)
    except RecursionError:
        yield Reject(name, None, "elements are nested too deeply; flatten them")
        return
    yield from markdown_items(
        text, name, options, {"title": title} if title else {}, first_line=None
    )


def _parsed(text: str) -> BeautifulSoup:
    with warnings.catch_warnings():  # such as that XHTML is parsed as HTML, which it may be
        warnings.simplefilter("ignore", UnusualUsageWarning)
        return BeautifulSoup(text, "lxml")
