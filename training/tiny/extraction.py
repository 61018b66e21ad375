"""From the HTML of the two Debian packages to pages of text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lxml import etree, html
from training.tiny.pages import Page, Section, clean

HELP = {
    "en": "en-US",
    "de": "de",
    "fr": "fr",
    "es": "es",
    "it": "it",
    "pt": "pt",
    "ru": "ru",
    "ja": "ja",
    "zh": "zh-CN",
    "ko": "ko",
}
"""The folder of each language in LibreOffice's help."""

HANDBOOK = {
    "en": "en-US",
    "de": "de-DE",
    "fr": "fr-FR",
    "es": "es-ES",
    "it": "it-IT",
    "pt": "pt-BR",
    "ru": "ru-RU",
    "ja": "ja-JP",
    "zh": "zh-CN",
    "ko": "ko-KR",
}
"""The folder of each language in the handbook."""

_HEADINGS = {f"h{level}" for level in range(1, 7)}
_ASIDES = {"howtoget", "relatedtopics", "related", "noteicon", "MAC", "WIN"}
"""Classes of what is no running text, and of what is for another operating system."""

_NUMBER = re.compile(r"^(\d+\.)+\s*|^(Chapter|Section)\s+\d+\.?\s*")
_NESTED = {"itemizedlist", "orderedlist", "variablelist", "screen", "para", "titlepage", "title"}
_END = re.compile(r"[\s.:。:]+$")


def read_help(folder: Path, lang: str) -> Iterator[Page]:
    """Read LibreOffice's help in one language; `folder` is what holds the languages."""
    text = folder / HELP[lang] / "text"
    for file in sorted(text.rglob("*.html"), key=lambda file: file.relative_to(text).as_posix()):
        (area,) = _parsed(file).xpath('//div[@id="DisplayArea"]')
        sections = list(_help_sections(area))
        yield Page("help", lang, file.relative_to(text).as_posix(), sections)


def read_handbook(folder: Path, lang: str) -> Iterator[Page]:
    """Read the Debian Administrator's Handbook in one language."""
    for file in sorted((folder / HANDBOOK[lang]).glob("*.html"), key=lambda file: file.name):
        sections = list(_handbook_sections(_parsed(file)))
        yield Page("handbook", lang, file.name, sections)


def _parsed(file: Path) -> Any:
    return html.fromstring(file.read_bytes(), parser=html.HTMLParser(encoding="utf-8"))


def _help_sections(area: Any) -> Iterator[Section]:
    for node in list(area.iter()):
        if _classes(node) & _ASIDES and node.getparent() is not None:
            node.drop_tree()
    section = Section("", "")
    keywords: list[str] = []  # of what comes next
    for node in area.iter("meta", "p", *_HEADINGS):
        if node.tag == "meta":
            if node.get("itemprop") == "keywords":
                keywords.append(clean(node.get("content")))
        elif node.tag in _HEADINGS:
            if section.heading or section.paragraphs:
                yield section
            section = Section(node.get("id", ""), _heading(node), keywords)
            keywords = []
        elif node.get("id") and (text := clean(node.text_content())):
            section.paragraphs[node.get("id")] = text
            section.keywords += keywords
            keywords = []
    yield section


def _handbook_sections(page: Any) -> Iterator[Section]:
    section = Section("", "")
    place = 0
    for node in page.iter("div", "p", "pre", *_HEADINGS):
        classes = _classes(node)
        if node.tag in _HEADINGS and "title" in classes:
            if section.heading or section.paragraphs:
                yield section
            place += 1
            section = Section(f"h{place}", _NUMBER.sub("", _heading(node)))
        elif "para" in classes or "screen" in classes:
            place += 1
            if text := clean(_shallow(node)):
                section.paragraphs[f"p{place}"] = text
    yield section


def _heading(node: Any) -> str:
    return _END.sub("", clean(node.text_content()))


def _shallow(node: Any) -> str:
    """Return the text of an element without the lists and paragraphs inside it."""
    parts = [node.text or ""]
    for child in node:
        if isinstance(child.tag, str) and not _classes(child) & _NESTED:
            parts.append(_shallow(child))
        parts.append(child.tail or "")
    return "".join(parts)


def _classes(node: etree._Element) -> set[str]:
    return set((node.get("class") or "").split()) if isinstance(node.tag, str) else set()
