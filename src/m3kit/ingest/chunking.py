"""
Long documents as passages of so many tokens.

    encoder = TorchEncoder.from_pretrained("BAAI/bge-m3")
    items = read_sources(["docs"], split="file")
    passages = chunk(items, tokens=512, tokenizer=encoder.tokenizer)

A passage has the metadata of its document, and:

    parent     the id of the document
    position   the passage's number in it, from 1; the passage's id is `parent#position`
    headings   the headings that all of the passage stands under, outermost first, if there are any
    page       the page on which it begins, where form feeds separate pages, as in PDF

The text of a passage is a part of the document's, as it stands there. It ends where a section, a
block, a sentence or a word of Markdown ends, whichever is the largest that fits.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import replace
from io import StringIO
from itertools import accumulate, takewhile
from operator import itemgetter
from pathlib import Path
from typing import Any, TypeVar

from semantic_text_splitter import MarkdownSplitter

from m3kit.backend.files import read_json
from m3kit.backend.locate import locate
from m3kit.backend.tokenizer import SPECIAL_TOKENS, TextTokenizer
from m3kit.backend.tokenizer import load_tokenizer as read_tokenizer
from m3kit.ingest.documents import Reject, SourceDocument
from m3kit.ingest.markdown import outline
from m3kit.ingest.token_counts import TokenCounter
from m3kit.records import Document

_D = TypeVar("_D", bound=Document)

PARENT = "parent"
POSITION = "position"
HEADINGS = "headings"
PAGE = "page"

_PAGE_BREAK = "\f"
_MIN_TOKENS = 16

_WINDOW = 2**18
"""Characters of a text that are split at a time, since the splitter's time grows faster than it."""


def chunk(
    documents: Iterable[_D | Reject],
    *,
    tokens: int = 512,
    overlap: int = 0,
    tokenizer: TextTokenizer,
) -> Iterator[_D | Reject]:
    """
    Split documents into passages; one that is short enough is a passage.

    Args:
        documents: Rejects among them are passed on, and so is a document, as a reject, whose
            metadata already has a `parent` or a `position`.
        tokens: The most tokens of a passage, the model's two special ones included.
        overlap: At most so many tokens of a passage are repeated by the next.
        tokenizer: The model's: `encoder.tokenizer`.

    Raises:
        ValueError: If `tokens` is below 16, or `overlap` negative or more than half of it.
    """
    if tokens < _MIN_TOKENS:
        raise ValueError(f"a passage of {tokens} tokens is too short; at least {_MIN_TOKENS}")
    if not 0 <= overlap <= tokens // 2:
        raise ValueError(f"an overlap of {overlap} tokens is none of 0 to {tokens // 2}")
    chunker = _Chunker(tokens - SPECIAL_TOKENS, overlap, tokenizer)
    return _chunked(documents, chunker)


def load_tokenizer(model: str | Path) -> TextTokenizer:
    """
    Load the tokenizer of a model, without its weights.

    Args:
        model: `"tiny"`, a folder, or a name on the Hugging Face hub.

    Raises:
        CheckpointError: If there is no such model.
    """
    _, folder = locate(
        model, revision=None, cache_dir=None, progress=False, weights=("tokenizer.json",)
    )
    return read_tokenizer(folder, read_json(folder / "config.json", dict))


def _chunked(documents: Iterable[_D | Reject], chunker: _Chunker) -> Iterator[_D | Reject]:
    for document in documents:
        if isinstance(document, Reject):
            yield document
        elif taken := {PARENT, POSITION} & document.metadata.keys():
            yield _reject(document, taken)
        else:
            yield from chunker.passages(document)


def _reject(document: Document, taken: set[str]) -> Reject:
    reason = (
        f"the metadata of document {document.id!r} already has {' and '.join(sorted(taken))}, "
        "which a passage's would replace; rename the field"
    )
    if isinstance(document, SourceDocument):
        return Reject(document.source, document.line, reason)
    return Reject(document.id, None, reason)


class _Chunker:
    """Splits texts into passages of at most `capacity` tokens."""

    def __init__(self, capacity: int, overlap: int, tokenizer: TextTokenizer) -> None:
        self._capacity = capacity
        self._count = TokenCounter(tokenizer, capacity)
        self._splitter = MarkdownSplitter.from_callback(self._count, capacity, overlap)

    def passages(self, document: _D) -> Iterator[_D]:
        """Yield the passages of a document."""
        headings = _Headings(document)
        for position, (start, text) in enumerate(self._split(document.text), start=1):
            fields: dict[str, Any] = {**document.metadata, PARENT: document.id, POSITION: position}
            if path := headings.above(start, start + len(text)):
                fields[HEADINGS] = path
            if _PAGE_BREAK in document.text:
                fields.setdefault(PAGE, 1 + document.text.count(_PAGE_BREAK, 0, start))
            yield replace(document, id=f"{document.id}#{position}", text=text, metadata=fields)

    def _split(self, text: str) -> Iterator[tuple[int, str]]:
        """Yield passages with the characters at which they start."""
        if self._count(text) <= self._capacity:
            yield 0, text
            return
        start = 0
        while len(text) - start > _WINDOW:
            *passages, last = self._within(text, start, start + _WINDOW) or [(start + _WINDOW, "")]
            yield from passages
            start = last[0]
        yield from self._within(text, start, len(text))

    def _within(self, text: str, start: int, end: int) -> list[tuple[int, str]]:
        passages = self._splitter.chunk_indices(text[start:end])
        return [(start + offset, passage) for offset, passage in passages]


class _Headings:
    """The headings of a document's text, below those that its metadata names."""

    def __init__(self, document: Document) -> None:
        given = document.metadata.get(HEADINGS, [])
        self._given = list(given) if isinstance(given, list) else None
        lines = list(StringIO(document.text))
        starts = list(accumulate(map(len, lines), initial=0))
        self._paths = [
            (starts[line - 1], path) for line, path in outline(enumerate(lines, start=1))
        ]

    def above(self, start: int, end: int) -> list[Any]:
        """Return the headings that all characters from `start` to `end` stand under."""
        if self._given is None:  # the document's metadata means something else by the name
            return []
        first = bisect_right(self._paths, start, key=itemgetter(0))
        after = bisect_left(self._paths, end, key=itemgetter(0))
        at_start = self._paths[first - 1][1] if first else ()
        paths = [at_start, *(path for _, path in self._paths[first:after])]
        levels = takewhile(lambda level: len(set(level)) == 1, zip(*paths, strict=False))
        return [*self._given, *(heading for heading, *_ in levels)]
