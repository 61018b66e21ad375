"""How an explanation is drawn: scores, matched tokens, and ColBERT's alignment as a heat map."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from m3kit._html import Part, bar, marked, number
from m3kit.explain.values import Alignment, Match
from m3kit.vectors import REPS, Floats, Rep

_WIDEST = 80
"""Columns of a heat map that shows the whole document."""

_CONTEXT = 4
"""Of a longer document, columns on each side of a nearest token."""

_MOST = 10
"""Matched tokens that are listed."""

_HEATS = 20
"""Steps of the colour scale, from similarity 0 to 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """
    What is drawn of an explanation.

    Args:
        scores: Of each representation.
        matches: The tokens in both texts.
        alignment: For each row of the heat map its nearest token.
        similarity: Shape `(query rows, document rows)`.
        columns: The document's tokens.
        query: The query's text in parts; none is not shown.
        document: The document's text in parts.
    """

    scores: Mapping[Rep, float]
    matches: Sequence[Match]
    alignment: Sequence[Alignment]
    similarity: Floats | None
    columns: Sequence[str]
    query: Sequence[Part]
    document: Sequence[Part]

    def to_html(self) -> str:
        """Return it as an element."""
        matches = self._matches() if "sparse" in self.scores else ""
        heat_map = "" if self.similarity is None else self._heat_map(self.similarity)
        return (
            f'<article class="m3 m3-why"><div class="m3-top">{self._texts()}'
            f"<div>{self._scores()}{matches}</div></div>{heat_map}</article>"
        )

    def _texts(self) -> str:
        if not self.query and not self.document:
            return ""
        return (
            '<section class="m3-texts">'
            f'<h3>Query</h3><p class="m3-text">{marked(self.query)}</p>'
            f'<h3>Document</h3><p class="m3-text">{marked(self.document)}</p></section>'
        )

    def _scores(self) -> str:
        rows = "".join(
            f'<tr><th scope="row">{rep}</th><td>{bar(self.scores[rep], kind=rep)}</td>'
            f"<td>{number(self.scores[rep])}</td></tr>"
            for rep in REPS
            if rep in self.scores
        )
        return f'<section><h3>Scores</h3><table class="m3-scores">{rows}</table></section>'

    def _matches(self) -> str:
        highest = max((match.product for match in self.matches), default=0.0)
        rows = "".join(
            f'<tr><th scope="row">{_shown(match.token)}</th><td>{number(match.query_weight)}</td>'
            f"<td>{number(match.document_weight)}</td><td>{number(match.product)}</td>"
            f"<td>{bar(match.product, highest, kind='sparse')}</td></tr>"
            for match in self.matches[:_MOST]
        )
        table = (
            '<table class="m3-matches"><thead><tr><th scope="col">token</th>'
            '<th scope="col">in query</th><th scope="col">in document</th>'
            '<th scope="col">product</th><th scope="col">share</th></tr></thead>'
            f"<tbody>{rows}</tbody></table>"
        )
        note = "" if rows else "No token is in both texts: the sparse score is 0."
        if rest := self.matches[_MOST:]:
            note = f"{len(rest)} more, together {number(sum(match.product for match in rest))}."
        return (
            f"<section><h3>Matched tokens</h3>{table if rows else ''}"
            f'<p class="m3-note">{note}</p></section>'
        )

    def _heat_map(self, similarity: Floats) -> str:
        shown = _shown_columns(len(self.columns), [row.position - 1 for row in self.alignment])
        heads = "".join(
            f'<th scope="col" class="m3-column"><span>{_shown(self.columns[column])}</span></th>'
            if column is not None
            else '<th scope="col" class="m3-gap"><span>…</span></th>'
            for column in shown
        )
        body = "".join(
            f'<tr><th scope="row">{_shown(row.query)}</th>'
            f"<td>{number(row.similarity)}</td>{''.join(_cells(similarity[n], row, shown))}</tr>"
            for n, row in enumerate(self.alignment)
        )
        hidden = len(self.columns) - sum(column is not None for column in shown)
        note = (
            "Similarity of each query token (row) to each document token (column), in hundredths. "
            "The nearest token of a row is outlined; the mean of these is the ColBERT score, "
            f"{number(self.scores['colbert'])}."
            + (f" {hidden} tokens that are nearest to none are left out." if hidden else "")
        )
        return (
            f'<section><h3>ColBERT alignment</h3><p class="m3-note">{note}</p>'
            '<div class="m3-scroll" tabindex="0" role="region" aria-label="ColBERT heat map">'
            '<table class="m3-heat"><caption class="m3-unseen">ColBERT alignment</caption>'
            '<thead><tr><th scope="col">query</th><th scope="col">nearest</th>'
            f"{heads}</tr></thead><tbody>{body}</tbody></table></div></section>"
        )


def _shown(token: str) -> str:
    """Return a token without the sign of a word's beginning, `␣` where it is nothing else."""
    return escape(token.removeprefix("▁") or "␣")


def _cells(similarities: Floats, row: Alignment, shown: Sequence[int | None]) -> Iterator[str]:
    for column in shown:
        if column is None:
            yield '<td class="m3-gap"></td>'
            continue
        value = float(similarities[column])
        heat = round(_HEATS * min(1.0, max(0.0, value)))
        best = " m3-best" if column == row.position - 1 else ""
        yield f'<td class="m3-h{heat}{best}">{round(100 * value)}</td>'


def _shown_columns(columns: int, nearest: Sequence[int]) -> list[int | None]:
    """Choose the columns of a heat map; None is a gap."""
    if columns <= _WIDEST:
        return list(range(columns))
    near = {
        column
        for place in nearest
        for column in range(max(0, place - _CONTEXT), min(columns, place + _CONTEXT + 1))
    }
    shown: list[int | None] = []
    for column in sorted(near):
        if column and column - 1 not in near:
            shown.append(None)
        shown.append(column)
    return [*shown, None] if columns - 1 not in near else shown
