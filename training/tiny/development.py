"""
Development sets from other Debian documentation: measured, and never trained on.

English text of Debian's FAQ, whose headings are questions, its reference, the installation guide,
the policy and the developers' reference; and the words that stand in few of their headings, alone.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lxml import html
from training.tiny.packages import fetch
from training.tiny.pages import clean
from training.tiny.tasks import make_dataset

from m3kit.evaluation import Dataset

SOURCES = {
    "faq": ("debian-faq", "usr/share/doc/debian/FAQ", "*.en.html"),
    "reference": ("debian-reference-en", "usr/share/debian-reference", "*.en.html"),
    "installation": (
        "installation-guide-amd64",
        "usr/share/doc/installation-guide-amd64/en",
        "*.html",
    ),
    "policy": ("debian-policy", "usr/share/doc/debian-policy/policy.html", "*.html"),
    "developers": ("developers-reference", "usr/share/developers-reference", "*.html"),
}
"""Package, folder and files of each set."""

_BLOCKS = ("h1", "h2", "h3", "h4", "p", "li", "dt", "dd", "pre", "td")
_NUMBER = re.compile(r"^((Chapter|Appendix)\s+\w+\.?|[A-Z]?[\d.]+)\s+")
_WORDS = re.compile(r"[a-z][a-z-]{3,}[a-z]")
_SHORTEST, _LONGEST = 80, 2000  # characters of a passage
_FEW = 3  # headings that a single word may stand in


def development_sets(work: Path, debs: Path | None = None) -> dict[str, Dataset]:
    """Return each set by name, with headings as queries; and `"words"`, single words over all."""
    root = fetch([package for package, _, _ in SOURCES.values()], work, debs)
    sections = {
        name: list(_sections(root / folder, pattern))
        for name, (_, folder, pattern) in SOURCES.items()
    }
    sets = {name: _by_heading(name, pairs) for name, pairs in sections.items()}
    return sets | {"words": _by_word([pair for pairs in sections.values() for pair in pairs])}


def _sections(folder: Path, pattern: str) -> Iterator[tuple[str, str]]:
    """Yield heading and text of each section, once."""
    known: set[str] = set()
    for file in sorted(folder.glob(pattern)):
        heading, parts = "", list[str]()
        root = html.fromstring(file.read_bytes(), parser=html.HTMLParser(encoding="utf-8"))
        for node in [*root.iter(*_BLOCKS), None]:
            if node is None or node.tag.startswith("h"):
                text = " ".join(parts)[:_LONGEST]
                if heading and len(text) >= _SHORTEST and not known & {heading.casefold(), text}:
                    known |= {heading.casefold(), text}
                    yield heading, text
                heading, parts = "" if node is None else _heading(node), []
            elif not any(child.tag in _BLOCKS for child in node.iterdescendants()):
                parts.append(clean(node.text_content()))


def _heading(node: Any) -> str:
    text = clean(node.text_content()).rstrip("\u00b6\uf0c1 ")
    return _NUMBER.sub("", text)


def _by_heading(name: str, sections: list[tuple[str, str]]) -> Dataset:
    ids = [f"{name}-{number}" for number in range(len(sections))]
    texts = {id_: text for id_, (_, text) in zip(ids, sections, strict=True)}
    headings = {id_: heading for id_, (heading, _) in zip(ids, sections, strict=True)}
    return make_dataset(name, texts, headings, {id_: [id_] for id_ in ids})


def _by_word(sections: list[tuple[str, str]]) -> Dataset:
    """Return words that stand in few headings, each with the passages under these that have it."""
    places: dict[str, list[int]] = defaultdict(list)
    for number, (heading, text) in enumerate(sections):
        for word in set(_WORDS.findall(heading.casefold())):
            if word in text.casefold():
                places[word].append(number)
    texts = {str(number): text for number, (_, text) in enumerate(sections)}
    chosen = {
        word: list(map(str, numbers))
        for word, numbers in sorted(places.items())
        if len(numbers) <= _FEW
    }
    return make_dataset("words", texts, {word: word for word in chosen}, chosen)
