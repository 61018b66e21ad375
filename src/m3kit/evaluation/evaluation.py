"""From a test collection and an encoder to measures: exact, or through any index."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from m3kit.encoder import Encoder, same_model
from m3kit.evaluation.answers import answer_qrels
from m3kit.evaluation.checks import check_other_model, check_runs, checked
from m3kit.evaluation.dataset import Dataset, EvaluationError, Qrels
from m3kit.evaluation.measures import overlap, per_query
from m3kit.evaluation.modes import Mode, modes_for
from m3kit.evaluation.policy import Issues, Policy
from m3kit.evaluation.report import Report, Row
from m3kit.evaluation.searches import Baseline, Result, Searches
from m3kit.evaluation.stream import Stream, Totals
from m3kit.evaluation.work import WorkFolder
from m3kit.fusion import WeightedSum
from m3kit.index import HybridIndex
from m3kit.retriever import Reranker

_NOTHING_RELEVANT = {"": 0}
"""The judgements of a query without any: ir-measures knows queries by their judgements."""


def evaluate(
    encoder: Encoder,
    dataset: Dataset,
    *,
    modes: Sequence[Mode] | None = None,
    weights: WeightedSum | None = None,
    measures: Sequence[str] | None = None,
    index: HybridIndex | None = None,
    exact: bool = True,
    fill: bool = True,
    k: int = 100,
    candidates: int = 100,
    reranker: Reranker | None = None,
    baselines: Mapping[str, Baseline] | None = None,
    folder: str | Path | None = None,
    policy: Policy = Policy(),  # noqa: B008  # frozen, so one default serves all
    batch_size: int = 128,
    checkpoint_seconds: float = 30.0,
    on_batch: Callable[[int], None] | None = None,
) -> Report:
    """
    Measure how well an encoder finds what a test collection says is relevant.

    The corpus is read as a stream: a batch is encoded once, for all modes, and let go. What is held
    in memory grows with the queries and `k`, not with the corpus.

    Args:
        encoder: What is evaluated.
        dataset: See `read_folder`, `load_dataset`, `Dataset`.
        modes: The ways of searching; by default those of the paper that the encoder and the index
            allow, with the paper's weights for this collection.
        weights: Adds a mode, `weights`, that ranks by this sum of all representations there are.
        measures: In the names of ir-measures; by default the collection's.
        index: An index to search, too, so that its approximation shows beside the exact answer.
        exact: Whether the exact answer is computed; false leaves it out where there is an index.
        fill: Whether documents are written to the index; false where it holds them already.
        k: How many documents each run lists.
        candidates: See `m3kit.Search`.
        reranker: Reorders the first `candidates` of the last mode, as a row of its own.
        baselines: What is measured beside it, by name; see `bm25_baselines`.
        folder: Where runs, qrels and the report are written; a second call with the same folder
            goes on where the first was interrupted.
        policy: What to do about bad input.
        batch_size: How many documents are encoded at once.
        checkpoint_seconds: How much work an interruption may cost.
        on_batch: Called with the number of documents done.

    Raises:
        EvaluationError: If the modes, the measures or the folder do not fit.
        DatasetError: If the policy refuses the collection or a run.
    """
    if index is None and not exact:
        raise EvaluationError("there is nothing to search: give index=, or leave exact=True")
    issues = Issues(policy)
    dataset = checked(dataset, issues)
    model = encoder.model or "unknown"
    if index is not None and index.model and not same_model(index.model, model):
        check_other_model(index.model, model, issues)
    available = encoder.reps if index is None else encoder.reps & index.reps
    chosen = modes_for(modes, dataset.weights, available, added=weights)
    plan = _Plan(
        searches=Searches(encoder, dataset, chosen, k, candidates),
        index=index,
        exact=exact,
        fill=fill,
        reranker=reranker,
        baselines=baselines or {},
    )
    per_query(measures or dataset.measures, {}, {})  # an unknown measure is told of at once
    with WorkFolder.opened(folder, plan.settings()) as work:
        results, totals = plan.run(work, batch_size, checkpoint_seconds, on_batch)
        check_runs({result.name: result.run for result in results}, issues)
        qrels = plan.qrels(results)
        report = Report(
            dataset=dataset.name,
            model=model,
            documents=totals.documents or (0 if index is None else index.count()),
            rows=_rows(results, measures or dataset.measures, qrels, totals),
            runs={result.name: result.run for result in results},
            qrels=qrels,
            issues=tuple(issues.entries),
            milliseconds_per_document=totals.milliseconds_per_document,
        )
        if folder is not None:
            work.write(report)
        return report


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """What an evaluation does; the fields are the arguments of `evaluate`."""

    searches: Searches
    index: HybridIndex | None
    exact: bool
    fill: bool
    reranker: Reranker | None
    baselines: Mapping[str, Baseline]

    def settings(self) -> dict[str, object]:
        """Return what makes two evaluations the same."""
        searched = ["exact"] * self.exact + ["index"] * (self.index is not None)
        return {**self.searches.settings(), "searched": searched}

    def run(
        self,
        work: WorkFolder,
        batch_size: int,
        checkpoint_seconds: float,
        on_batch: Callable[[int], None] | None,
    ) -> tuple[list[Result], Totals]:
        """Read the corpus and answer all queries."""
        search = self.searches.exact_search() if self.exact else None
        stream = Stream(
            encoder=self.searches.encoder,
            exact=search,
            index=self.index if self.fill else None,
            batch_size=batch_size,
            checkpoint_seconds=checkpoint_seconds,
            on_batch=on_batch,
        )
        totals = stream.read(self.searches.dataset, work)
        searched = [] if search is None else list(self.searches.exact(search))
        if self.index is not None:
            searched += self.searches.through(self.index, work, searched)
        reranked = self._reranked(searched)
        beside = (self.searches.baseline(*baseline) for baseline in self.baselines.items())
        return [*beside, *searched, *reranked], totals

    def qrels(self, results: Sequence[Result]) -> Qrels:
        """Return what is relevant, with an entry for each query."""
        dataset = self.searches.dataset
        qrels = dataset.qrels
        if dataset.answers:
            qrels = answer_qrels(dataset, [result.run for result in results], self.searches.k)
        return {query: qrels.get(query) or _NOTHING_RELEVANT for query in dataset.queries}

    def _reranked(self, results: Sequence[Result]) -> Iterator[Result]:
        if self.reranker is not None:
            yield self.searches.reranked(self.reranker, results[-1])


def _rows(
    results: Sequence[Result], measures: Sequence[str], qrels: Qrels, totals: Totals
) -> list[Row]:
    return [
        Row(
            name=result.name,
            values=per_query(measures, qrels, result.run),
            without_hits=sum(not result.run.get(query) for query in qrels),
            bytes_per_document=totals.bytes_per_document(result.mode.reps) if result.mode else None,
            milliseconds=result.milliseconds,
            of_exact=overlap(result.run, result.reference, 10) if result.reference else None,
        )
        for result in results
    ]
