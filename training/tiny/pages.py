"""A page of documentation in one language: headings, and the paragraphs below each."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_INVISIBLE = re.compile("[\u00ad\u200b\u200e\u200f\ufeff]")


@dataclass(slots=True)
class Section:
    """
    A heading and what stands below it, up to the next heading of any level.

    Args:
        id: The same in every language.
        heading: Its text.
        keywords: Entries of the index that lead here.
        paragraphs: By an id that is the same in every language, in order.
    """

    id: str
    heading: str
    keywords: list[str] = field(default_factory=list)
    paragraphs: dict[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """All paragraphs on one line."""
        return " ".join(self.paragraphs.values())


@dataclass(frozen=True, slots=True)
class Page:
    """
    A page of a source in one language.

    Args:
        source: `"help"` or `"handbook"`.
        lang: Two letters.
        name: The same in every language.
        sections: In order.
    """

    source: str
    lang: str
    name: str
    sections: list[Section]

    def to_json(self) -> str:
        """Return one line of JSON."""
        sections = [
            [section.id, section.heading, section.keywords, list(section.paragraphs.items())]
            for section in self.sections
        ]
        fields = {"source": self.source, "lang": self.lang, "name": self.name}
        return json.dumps({**fields, "sections": sections}, ensure_ascii=False)

    @classmethod
    def from_json(cls, line: str) -> Page:
        """Read what `to_json` wrote."""
        fields: dict[str, Any] = json.loads(line)
        sections = [
            Section(id_, heading, keywords, dict(paragraphs))
            for id_, heading, keywords, paragraphs in fields.pop("sections")
        ]
        return cls(**fields, sections=sections)


def clean(text: str) -> str:
    """Return a text on one line, in NFC, without invisible characters."""
    return " ".join(_INVISIBLE.sub("", unicodedata.normalize("NFC", text)).split())


def write_pages(path: Path, pages: Iterable[Page]) -> None:
    """Write pages as JSON lines."""
    lines = "".join(f"{page.to_json()}\n" for page in pages)
    path.write_text(lines, encoding="utf-8", newline="\n")


def read_pages(path: Path) -> Iterator[Page]:
    """Read what `write_pages` wrote."""
    with path.open(encoding="utf-8") as lines:
        yield from map(Page.from_json, lines)
