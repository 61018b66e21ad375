"""The part of each text that a page shows, with its matched tokens marked."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from itertools import accumulate

from m3kit._html import Part, mark_tokens
from m3kit.encoder import ReadsTokens
from m3kit.index import HybridIndex
from m3kit.records import Hit
from m3kit.vectors import M3Output, Sparse

_LENGTH = 360
"""Characters of a passage."""

_LEAD = 60
"""Of these, how many stand before its first matched token."""

_READ = 20_000
"""Characters of a text that are looked through."""


def passages(
    index: HybridIndex, encoder: ReadsTokens | None, query: M3Output, hits: Sequence[Hit]
) -> list[list[Part]]:
    """
    Return the passage of each hit that has the most matched tokens, in parts.

    Args:
        index: What has the documents' lexical weights.
        encoder: What tells tokens; None marks nothing.
        query: The encoded query.
        hits: What is shown.
    """
    if encoder is None or query.sparse is None or "sparse" not in index.reps:
        return [passage([(hit.document.text[:_READ], 0)]) for hit in hits]
    records = index.get([hit.document.id for hit in hits], ["sparse"])
    products = {record.document.id: _products(query.sparse, record.output.sparse)
                for record in records}  # fmt: skip
    highest = max((max(by_id.values(), default=0.0) for by_id in products.values()), default=0.0)
    marked = []
    for hit in hits:
        text, weights = hit.document.text[:_READ], products.get(hit.document.id, {})
        tokens = encoder.document_tokens(text)[1:-1] if weights else []
        marked.append(passage(mark_tokens(text, tokens, weights, highest=highest)))
    return marked


def passage(parts: Sequence[Part]) -> list[Part]:
    """Cut a text in parts to the stretch whose marked parts add up to the highest levels."""
    ends = list(accumulate((len(text) for text, _ in parts), initial=0))
    places = [place for place, (_, level) in zip(ends, parts, strict=False) if level]
    sums = list(accumulate((level for _, level in parts if level), initial=0))
    best, begin = 0, 0
    for n, place in enumerate(places):
        first = max(0, place - _LEAD)
        total = sums[bisect_left(places, first + _LENGTH)] - sums[n]
        if total > best:
            best, begin = total, first
    return _cut(parts, begin, begin + _LENGTH)


def _cut(parts: Sequence[Part], begin: int, stop: int) -> list[Part]:
    cut: list[Part] = [("…", 0)] if begin else []
    place = 0
    for text, level in parts:
        inside = text[max(0, begin - place) : max(0, stop - place)]
        if inside:
            cut.append((inside, level))
        place += len(text)
    if place > stop:
        cut.append(("…", 0))
    return cut


def _products(query: Sparse, document: Sparse | None) -> Mapping[int, float]:
    if document is None:
        return {}
    weights = document.to_dict()
    return {id_: weight * weights[id_] for id_, weight in query.to_dict().items() if id_ in weights}
