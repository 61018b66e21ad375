"""Training queries for documents that have none: headings, spans, or what any callable writes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TypeAlias

import numpy as np

from m3kit.records import Document
from m3kit.training.data import Example

WriteQueries: TypeAlias = Callable[[Document], Iterable[str]]
"""Writes the queries that a document answers, for instance by a language model."""

_SENTENCES = re.compile(r"(?<=[.!?;])\s+|(?<=[。！？；])|\n+")  # noqa: RUF001  # the wide forms


@dataclass(frozen=True, slots=True)
class MiningQuery:
    """
    A training example that negatives are mined for.

    Args:
        example: Its query and positive passages.
        sources: Ids of the documents that the positives were taken from, so that none of them
            becomes a negative.
    """

    example: Example
    sources: frozenset[str] = field(default_factory=frozenset)


def from_examples(examples: Iterable[Example]) -> Iterator[MiningQuery]:
    """Mine for examples whose positives are given; documents equal to these are left out."""
    return map(MiningQuery, examples)


def from_callable(documents: Iterable[Document], write: WriteQueries) -> Iterator[MiningQuery]:
    """Have a callable write the queries of each document, which is their positive passage."""
    for document in documents:
        for query in write(document):
            if query.strip():
                yield _query(query.strip(), document.text, document)


def from_headings(
    documents: Iterable[Document], field_name: str = "title"
) -> Iterator[MiningQuery]:
    """
    Take each document's heading as a query, and the document without it as the passage.

    Documents without a heading, or with nothing else, are passed over.

    Args:
        documents: What is searched.
        field_name: The field of the metadata that has the heading.
    """
    for document in documents:
        heading = document.metadata.get(field_name)
        if isinstance(heading, str) and heading.strip():
            passage = _without_heading(document.text, heading.strip())
            if passage:
                yield _query(heading.strip(), passage, document)


def from_spans(
    documents: Iterable[Document], *, seed: int = 0, longest: int = 40
) -> Iterator[MiningQuery]:
    """
    Take a random sentence out of each document as a query, and the rest as the passage.

    Documents of a single sentence are passed over. What is drawn depends on the seed and the
    document alone.

    Args:
        documents: What is searched.
        seed: Of the drawing.
        longest: Words of a query; of a longer sentence a random part is taken.
    """
    for document in documents:
        sentences = [part for part in _SENTENCES.split(document.text) if part.strip()]
        if len(sentences) < 2:
            continue
        random = generator(seed, document.id, document.text)
        span = sentences.pop(int(random.integers(len(sentences))))
        yield _query(_shortened(span, longest, random), " ".join(sentences), document)


def generator(seed: int, *texts: str) -> np.random.Generator:
    """Return a generator of random numbers that depends on a seed and some texts."""
    digest = sha256("\0".join(texts).encode("utf-8", "surrogatepass")).digest()
    return np.random.default_rng([seed, int.from_bytes(digest[:8], "big")])


def _query(query: str, passage: str, document: Document) -> MiningQuery:
    return MiningQuery(Example(query, [passage]), frozenset([document.id]))


def _without_heading(text: str, heading: str) -> str:
    first, _, rest = text.strip().partition("\n")
    return rest.strip() if first.lstrip("# ").strip() == heading else text.strip()


def _shortened(span: str, longest: int, random: np.random.Generator) -> str:
    words: Sequence[str] = span.split()
    first = int(random.integers(max(1, len(words) - longest + 1)))
    return " ".join(words[first : first + longest])
