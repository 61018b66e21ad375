"""The sections of all pages, aligned across languages, and which of them are trained on."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import md5
from typing import Literal, TypeAlias

from training.tiny.pages import Page, Section

Split: TypeAlias = Literal["train", "dev", "test"]

TELLING = 40
"""Characters; a shorter paragraph ("Click OK.") may stand on many pages."""

SHORTEST = 30
"""Characters of an English passage."""

_WORDS = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Entry:
    """
    A section in every language into which it is really translated.

    Args:
        source: `"help"` or `"handbook"`.
        page: The name of its page.
        split: What it is for.
        titles: The heading in each language, behind the page's title where it says little alone.
        sections: The section in each language.
    """

    source: str
    page: str
    split: Split
    titles: Mapping[str, str]
    sections: Mapping[str, Section]

    @property
    def id(self) -> str:
        """A name of the section."""
        return f"{self.page}#{self.sections['en'].id}"


def split_of(page: str) -> Split:
    """Tell what a page is for; a tenth is for the test, and three of a hundred for development."""
    number = int(md5(page.encode(), usedforsecurity=False).hexdigest(), 16) % 100
    return "test" if number < 10 else "dev" if number < 13 else "train"


def collect(pages: Iterable[Page]) -> list[Entry]:
    """Align sections across languages; what is not translated is left out."""
    by_page: dict[tuple[str, str], dict[str, Page]] = defaultdict(dict)
    for page in pages:
        by_page[page.source, page.name][page.lang] = page
    headings = Counter(
        section.heading
        for versions in by_page.values()
        for section in {section.id: section for section in versions["en"].sections}.values()
    )
    return [entry for versions in by_page.values() for entry in _entries(versions, headings)]


def held_out(entries: list[Entry], split: Split) -> list[Entry]:
    """
    Return what may be tested: the sections of a split whose text is not trained on.

    Left out are those of which the passage, or a third of the telling paragraphs, occurs in the
    training pages, those that repeat another one's title or passage, and very short ones.
    """
    trained = {
        text
        for entry in entries
        if entry.split == "train"
        for text in (*entry.sections["en"].paragraphs.values(), entry.sections["en"].text)
    }
    known: set[str] = set()
    chosen = []
    for entry in entries:
        text, title = entry.sections["en"].text, entry.titles["en"].casefold()
        if entry.source != "help" or entry.split != split or "/00/" in entry.page:
            continue
        if known & {title, text} or _leaks(entry.sections["en"], trained):
            continue
        known |= {title, text}
        chosen.append(entry)
    return chosen


def _leaks(section: Section, trained: set[str]) -> bool:
    texts = list(section.paragraphs.values())
    telling = [text for text in texts if len(text) >= TELLING] or texts
    share = sum(text in trained for text in telling) / len(telling)
    return section.text in trained or share >= 0.34


def _entries(versions: Mapping[str, Page], headings: Counter[str]) -> Iterator[Entry]:
    english = versions["en"]
    aligned = {
        lang: page.sections
        for lang, page in versions.items()
        if [section.id for section in page.sections] == [section.id for section in english.sections]
    }
    lead = next((place for place, section in enumerate(english.sections) if section.heading), 0)
    for place, section in enumerate(english.sections):
        if not section.heading or len(section.text) < SHORTEST:
            continue
        translations = {
            lang: sections[place]
            for lang, sections in aligned.items()
            if lang == "en" or _translated(sections[place], section)
        }
        generic = headings[section.heading] > 1 and place != lead
        titles = {
            lang: f"{aligned[lang][lead].heading}: {version.heading}"
            if generic
            else version.heading
            for lang, version in translations.items()
        }
        yield Entry(english.source, english.name, split_of(english.name), titles, translations)


def _translated(section: Section, english: Section) -> bool:
    """Tell whether the paragraphs are the same, and no more than 30 % of the text is English."""
    if section.paragraphs.keys() != english.paragraphs.keys():
        return False
    same = sum(
        len(text) for id_, text in english.paragraphs.items() if section.paragraphs[id_] == text
    )
    words = set(_WORDS.findall(english.text.casefold()))
    ours = _WORDS.findall(section.text.casefold())
    shared = sum(word in words for word in ours) / max(1, len(ours))
    return same <= 0.3 * len(english.text) and shared <= 0.6
