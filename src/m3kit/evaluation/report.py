"""What an evaluation measured: rows, a table, JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from m3kit.evaluation.dataset import EvaluationError, Qrels, Run
from m3kit.evaluation.measures import Comparison, compare, mean
from m3kit.evaluation.policy import Issue


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """
    One way of searching and what it reached.

    Args:
        name: The mode, with where it searched if that is not the exact oracle: `all @ index`.
        values: Each measure for each query.
        without_hits: How many queries found nothing.
        bytes_per_document: The size of the vectors that take part, in float32, where they were
            seen.
        milliseconds: The median time of a search, where one query was searched at a time.
        of_exact: Which share of the exact best ten is among its best ten.
    """

    name: str
    values: Mapping[str, Mapping[str, float]]
    without_hits: int
    bytes_per_document: float | None = None
    milliseconds: float | None = None
    of_exact: float | None = None

    @property
    def means(self) -> dict[str, float]:
        """Each measure's mean over all judged queries."""
        return {measure: mean(values) for measure, values in self.values.items()}

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON, without the values of each query."""
        return {
            "name": self.name,
            "measures": self.means,
            "queries_without_hits": self.without_hits,
            "bytes_per_document": self.bytes_per_document,
            "milliseconds_per_query": self.milliseconds,
            "of_exact_top_10": self.of_exact,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """
    The result of `evaluate`.

    Args:
        dataset: The collection's name.
        model: What made the vectors, as `Encoder.model` says.
        documents: How many were read.
        rows: One for each way of searching.
        runs: What each row found, by the row's name.
        qrels: What it was measured by.
        issues: The bad input that was found, and what was done.
        milliseconds_per_document: What encoding took, where documents were encoded.
    """

    dataset: str
    model: str
    documents: int
    rows: Sequence[Row]
    runs: Mapping[str, Run]
    qrels: Qrels
    issues: Sequence[Issue] = ()
    milliseconds_per_document: float | None = None

    def __getitem__(self, name: str) -> Row:
        for row in self.rows:
            if row.name == name:
                return row
        raise KeyError(f"{name}; the rows are {', '.join(row.name for row in self.rows)}")

    def compare(self, first: str, second: str, *, resamples: int = 9999) -> list[Comparison]:
        """
        Test whether two rows differ, on each measure; see `m3kit.evaluation.compare`.

        Raises:
            KeyError: If there is no such row.
        """
        measures = list(self[first].values)
        return compare(
            self.runs[self[first].name],
            self.runs[self[second].name],
            self.qrels,
            measures,
            resamples=resamples,
        )

    def table(self) -> str:
        """Return the rows as a table in Markdown; columns that no row fills are left out."""
        shown = {
            title: cells
            for title, cell in _COLUMNS.items()
            if any(cells := [cell(row) for row in self.rows])
        }
        measures = list(self.rows[0].values) if self.rows else []
        header = ["search", *measures, *shown]
        lines = [_line(header), _rule(header)]
        for place, row in enumerate(self.rows):
            figures = [f"{row.means[measure]:.3f}" for measure in measures]
            lines.append(
                _line([row.name, *figures, *(cells[place] or "" for cells in shown.values())])
            )
        return "\n".join(lines)

    def summary(self) -> str:
        """Return the line above the table: the collection, its size, the model and its speed."""
        speed = self.milliseconds_per_document
        cost = f", {speed:.1f} ms to encode a document" if speed else ""
        return (
            f"{self.dataset}: {self.documents:,} documents, {len(self.qrels):,} queries, "
            f"{self.model}{cost}"
        )

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "dataset": self.dataset,
            "model": self.model,
            "documents": self.documents,
            "queries": len(self.qrels),
            "milliseconds_per_document": self.milliseconds_per_document,
            "rows": [row.to_json() for row in self.rows],
            "issues": [
                {
                    "kind": issue.kind,
                    "count": issue.count,
                    "examples": list(issue.examples),
                    "decision": issue.decision,
                }
                for issue in self.issues
            ],
        }


def _number(value: float | None, form: str) -> str | None:
    return None if value is None else format(value, form)


_COLUMNS: Mapping[str, Callable[[Row], str | None]] = {
    "bytes per document": lambda row: _number(row.bytes_per_document, ",.0f"),
    "ms per query": lambda row: _number(row.milliseconds, ".1f"),
    "of exact top 10": lambda row: _number(row.of_exact, ".3f"),
    "without hits": lambda row: _number(row.without_hits or None, "d"),
}


def comparison_table(comparisons: Sequence[Comparison]) -> str:
    """
    Return comparisons as a table in Markdown.

    Raises:
        EvaluationError: If there is none.
    """
    if not comparisons:
        raise EvaluationError("there is nothing to compare; give at least one measure")
    header = ["measure", "first", "second", "difference", "better", "worse", "queries", "p"]
    lines = [_line(header), _rule(header)]
    for result in comparisons:
        figures = [
            f"{result.first:.3f}",
            f"{result.second:.3f}",
            f"{result.second - result.first:+.3f}",
        ]
        counts = [str(result.better), str(result.worse), str(result.queries)]
        lines.append(_line([result.measure, *figures, *counts, f"{result.p_value:.4f}"]))
    return "\n".join(lines)


def plot(report: Report, path: str, measure: str | None = None) -> None:
    """
    Draw the rows as bars, the first on top; needs matplotlib.

    Args:
        report: What was measured.
        path: The file; its suffix is the format.
        measure: By default the first.

    Raises:
        EvaluationError: If matplotlib is not installed, or there is no such measure.
    """
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise EvaluationError(
            "a plot needs matplotlib, which is not installed: pip install matplotlib"
        ) from error
    names = [row.name for row in report.rows]
    measures = list(report.rows[0].values)
    chosen = measure or measures[0]
    if chosen not in measures:
        raise EvaluationError(f"{chosen} was not measured; take one of {', '.join(measures)}")
    figure = Figure(figsize=(8, 1 + 0.4 * len(names)), layout="constrained")
    axes = figure.subplots()
    bars = axes.barh(names, [row.means[chosen] for row in report.rows])
    axes.bar_label(bars, fmt="%.3f", padding=3)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set_xlabel(f"{chosen}, {report.dataset}, {report.model}")
    figure.savefig(path, dpi=150)


def _rule(header: Sequence[str]) -> str:
    return f"|---|{'---:|' * (len(header) - 1)}"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
