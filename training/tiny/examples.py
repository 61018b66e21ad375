"""
Pairs of a query and a passage, drawn from the training sections.

Each batch is of one task and one pair of languages. In half of the batches several sections come
from each page, so that a passage's neighbours are among its negatives.
"""

from __future__ import annotations

import random
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TypeAlias

from training.tiny.collection import TELLING, Entry
from training.tiny.questions import as_question

Pair: TypeAlias = tuple[str, str]

HANDBOOK_WEIGHT = 6
"""How often a section of the handbook is drawn, to a section of the help."""

_PER_PAGE = 4
_READ = 500  # characters that surely are among the tokens of a passage
_SAME = 0.45  # share of batches within a language
_WORDS = re.compile(r"[^\W\d_]{2,}|\d{2,}")
_SPACED = frozenset({"en", "de", "fr", "es", "it", "pt", "ru", "ko"})
_SENTENCES = re.compile(r"(?<=[.!?;])\s+|(?<=[。！？；])")  # noqa: RUF001  # the wide forms are meant


@dataclass(frozen=True, slots=True)
class Batch:
    """
    Pairs of one task.

    Args:
        task: The name of the task.
        queries: What is looked for.
        passages: What answers each of them.
    """

    task: str
    queries: list[str]
    passages: list[str]


class Sampler:
    """
    Draws batches; the same seed gives the same batches.

    Args:
        entries: The sections of the training pages.
        seed: Of the drawing.
        neighbours: Whether half of the batches have several sections of each page.
    """

    def __init__(self, entries: Sequence[Entry], seed: int, *, neighbours: bool = True) -> None:
        self._random = random.Random(seed)  # noqa: S311  # no secret depends on it
        self._neighbours = neighbours
        self._entries = list(entries)
        self._weights = [HANDBOOK_WEIGHT if e.source == "handbook" else 1 for e in self._entries]
        self._pages: dict[str, list[Entry]] = defaultdict(list)
        for entry in self._entries:
            self._pages[entry.page].append(entry)
        self._rarity = _document_frequencies(self._entries)
        self._tasks: Mapping[str, tuple[float, Callable[[Entry, str, str], Pair | None]]] = {
            "heading": (0.2, self._heading),
            "question": (0.15, self._question),
            "keyword": (0.1, self._keyword),
            "paragraph": (0.13, self._paragraph),
            "span": (0.12, self._span),
            "words": (0.2, self._word_query),
            "page": (0.1, self._page),
        }

    def batch(self, size: int) -> Batch:
        """Draw pairs with different queries and passages, at most `size`."""
        names = list(self._tasks)
        task = self._random.choices(names, [self._tasks[name][0] for name in names])[0]
        query_lang, passage_lang = self._languages(task)
        size = max(2, size // 4) if task == "page" else size
        pairs: dict[str, str] = {}
        for entry in self._drawn(size, neighbours=self._neighbours and task != "page"):
            if query_lang in entry.sections and passage_lang in entry.sections:
                pair = self._tasks[task][1](entry, query_lang, passage_lang)
                if pair and pair[0] not in pairs and pair[1] not in pairs.values():
                    pairs[pair[0]] = pair[1]
            if len(pairs) == size:
                break
        return Batch(task, list(pairs), list(pairs.values()))

    def _drawn(self, size: int, *, neighbours: bool) -> list[Entry]:
        drawn = self._random.choices(self._entries, self._weights, k=3 * size)
        if not neighbours or self._random.random() < 0.5:
            return drawn
        pages = (self._pages[entry.page] for entry in drawn)
        few = (self._random.sample(page, min(_PER_PAGE, len(page))) for page in pages)
        return list(chain.from_iterable(few))

    def _languages(self, task: str) -> Pair:
        langs = ["en", "de", "fr", "es", "it", "pt", "ru", "ja", "zh", "ko"]
        first = self._random.choice(langs)
        if task == "words":
            first = self._random.choice(["en", "en", *sorted(_SPACED)])
            return first, first
        if self._random.random() < _SAME:
            first = self._random.choice(["en", "en", "en", *langs])
            return first, first
        second = self._random.choice(["en", "en", *langs])
        return (first, second) if self._random.random() < 0.75 else (second, first)

    def _heading(self, entry: Entry, query: str, passage: str) -> Pair:
        return entry.titles[query], entry.sections[passage].text

    def _question(self, entry: Entry, query: str, passage: str) -> Pair:
        return as_question(entry.titles[query], query, self._random), entry.sections[passage].text

    def _keyword(self, entry: Entry, query: str, passage: str) -> Pair | None:
        keywords = entry.sections[query].keywords
        if not keywords:
            return None
        return self._random.choice(keywords).replace(",", " "), entry.sections[passage].text

    def _paragraph(self, entry: Entry, query: str, passage: str) -> Pair | None:
        chosen = [
            id_ for id_, text in entry.sections["en"].paragraphs.items() if len(text) >= TELLING
        ]
        if not chosen or query == passage:
            return self._heading(entry, query, passage)
        id_ = self._random.choice(chosen)
        return entry.sections[query].paragraphs[id_], entry.sections[passage].paragraphs[id_]

    def _span(self, entry: Entry, query: str, passage: str) -> Pair | None:
        """Take a paragraph away from its section, or a sentence from a single paragraph."""
        ids = list(entry.sections["en"].paragraphs)
        if len(ids) > 1:
            id_ = self._random.choice(ids)
            rest = [t for key, t in entry.sections[passage].paragraphs.items() if key != id_]
            span = entry.sections[query].paragraphs[id_]
            sentences = [part for part in _SENTENCES.split(span) if len(part) > 10] or [span]
            return self._random.choice(sentences), " ".join(rest)
        if query != passage:
            return None
        sentences = [part for part in _SENTENCES.split(entry.sections[query].text) if part]
        if len(sentences) < 3:
            return None
        span = sentences.pop(self._random.randrange(len(sentences)))
        return span, " ".join(sentences)

    def _word_query(self, entry: Entry, query: str, passage: str) -> Pair | None:
        """Take one to three telling words of the passage, in half of the pairs of its title too."""
        text = entry.sections[passage].text
        words = list(dict.fromkeys(_WORDS.findall(text[:_READ].casefold())))
        title = entry.titles[query].casefold()
        if self._random.random() < 0.5:
            words = [word for word in words if word in title]
        weights = [1 / self._rarity[query].get(word, 1) for word in words]
        if not words:
            return None
        count = self._random.choice([1, 1, 2, 3])
        return " ".join(dict.fromkeys(self._random.choices(words, weights, k=count))), text

    def _page(self, entry: Entry, query: str, passage: str) -> Pair | None:
        """Take a heading or a question, and the sections around its own as one text."""
        page = [other for other in self._pages[entry.page] if passage in other.sections]
        place = page.index(entry)
        first = self._random.randint(max(0, place - 2), place)
        text = " ".join(
            f"{other.titles[passage]} {other.sections[passage].text}"
            if other is not entry
            else other.sections[passage].text
            for other in page[first : first + 6]
        )
        return self._random.choice([self._heading, self._question])(entry, query, passage)[0], text


def _document_frequencies(entries: Sequence[Entry]) -> dict[str, Counter[str]]:
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for entry in entries:
        for lang in entry.sections.keys() & _SPACED:
            counts[lang].update(set(_WORDS.findall(entry.sections[lang].text.casefold())))
    return counts
