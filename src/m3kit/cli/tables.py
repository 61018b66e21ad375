"""Tables for the terminal; texts of documents are never interpreted as markup."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from m3kit.cli.terminal import to_line
from m3kit.explain import Alignment, Explanation, Match
from m3kit.records import Hit
from m3kit.vectors import REPS, Rep

_MAX_LENGTH = 400
"""The most characters of a text that are formatted; the terminal's width truncates the line."""


class Screen(Console):
    """A console that raises `BrokenPipeError`."""

    def on_broken_pipe(self) -> None:
        """Raise the error; rich would exit with 1."""
        raise BrokenPipeError


def show_hits(hits: Sequence[Hit]) -> None:
    """Print hits as a table: rank, score, the score of each representation, the document."""
    reps = [rep for rep in REPS if any(rep in hit.scores for hit in hits)]
    table = _table("", ">score", *(f">{rep}" for rep in reps), "document")
    for rank, hit in enumerate(hits, start=1):
        document = Group(
            Text.assemble((to_line(hit.document.id), "bold"), overflow="fold"),
            Text(_line(hit.document.text), no_wrap=True, overflow="ellipsis"),
            *_metadata(hit.document.metadata),
        )
        scores = (_score(hit.scores.get(rep)) for rep in reps)
        table.add_row(str(rank), _score(hit.score), *scores, document)
    Screen().print(table)


def show_explanation(explained: Explanation) -> None:
    """Print the scores, the matched tokens, and the nearest token of each query token."""
    screen = Screen()
    screen.print(_scores(explained.scores), "")
    if "sparse" in explained.scores:
        screen.print(_matches(explained.matches), "")
    if explained.alignment:
        screen.print(_alignment(explained.alignment))


def show_rows(rows: Mapping[str, str]) -> None:
    """Print names and values."""
    table = Table.grid("", "", padding=(0, 2))
    for name, value in rows.items():
        table.add_row(Text(name, "bold"), Text(to_line(value), overflow="fold"))
    Screen().print(table)


def _scores(scores: Mapping[Rep, float]) -> Table:
    table = _table("representation", ">score")
    for rep in REPS:
        if rep in scores:
            table.add_row(rep, _score(scores[rep]))
    return table


def _matches(matches: Iterable[Match]) -> Table:
    table = _table("matched token", ">in query", ">in document", ">product")
    for match in matches:
        weights = (match.query_weight, match.document_weight, match.product)
        table.add_row(_token(match.token), *map(_score, weights))
    if not table.row_count:
        table.add_row(Text("none", "dim"), "", "", "")
    return table


def _alignment(alignment: Iterable[Alignment]) -> Table:
    table = _table("query token", "nearest in document", ">at", ">similarity", "")
    for row in alignment:
        style = _style(row.similarity)
        table.add_row(
            _token(row.query),
            Text.assemble((to_line(row.document), style)),
            str(row.position),
            Text(_score(row.similarity), style),
            Text("━" * round(max(row.similarity, 0.0) * 10), style),
        )
    return table


def _style(similarity: float) -> str:
    match similarity:
        case _ if similarity >= 0.8:
            return "bold green"
        case _ if similarity >= 0.6:
            return "green"
        case _ if similarity >= 0.4:
            return "yellow"
        case _:
            return "dim"


def _table(*headers: str) -> Table:
    """Make a table without lines; `>` before a header right-aligns its column."""
    table = Table(box=None, padding=(0, 1), header_style="dim")
    for header in headers:
        right = header.startswith(">")
        table.add_column(header.removeprefix(">"), justify="right" if right else "left")
    return table


def _score(score: float | None) -> str:
    return "" if score is None else f"{score:.3f}"


def _token(text: str) -> Text:
    return Text(to_line(text))


def _line(text: str) -> str:
    return to_line(text[:_MAX_LENGTH])


def _metadata(metadata: Mapping[str, object]) -> list[Text]:
    line = "  ".join(f"{key}={_value(value)}" for key, value in metadata.items())
    return [Text(_line(line), "dim", no_wrap=True, overflow="ellipsis")] if line else []


def _value(value: object) -> str:
    """Write a value in the syntax of `--where`."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
