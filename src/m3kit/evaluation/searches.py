"""The searches of one evaluation: every query in every mode."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import Any, TypeAlias

from m3kit.encoder import Encoder
from m3kit.evaluation.dataset import Dataset, Run
from m3kit.evaluation.exact import ExactSearch
from m3kit.evaluation.modes import Mode
from m3kit.evaluation.work import WorkFolder
from m3kit.index import HybridIndex, Search
from m3kit.retriever import Reranker, reranked_scores
from m3kit.vectors import REPS, M3Output, Rep

Baseline: TypeAlias = Callable[[Dataset, int], Run]
"""What is measured beside M3: `(dataset, k) -> run`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """
    What one way of searching found.

    Args:
        name: What tables call it.
        run: The rankings.
        mode: How M3 searched.
        milliseconds: The median time of a query, where one was searched at a time.
        reference: The exact run of the same mode, where this one may be approximate.
    """

    name: str
    run: Run
    mode: Mode | None = None
    milliseconds: float | None = None
    reference: Run | None = None


@dataclass(frozen=True, slots=True)
class Searches:
    """
    What is searched for.

    Args:
        encoder: What makes the queries' vectors.
        dataset: Whose queries.
        modes: The ways of searching.
        k: How many documents each run lists.
        candidates: See `m3kit.Search`.
    """

    encoder: Encoder
    dataset: Dataset
    modes: Sequence[Mode]
    k: int
    candidates: int

    def settings(self) -> dict[str, Any]:
        """Return what makes two evaluations the same, as JSON."""
        digest = hashlib.sha256()
        for query, text in self.dataset.queries.items():
            digest.update(f"{query}\0{text}\0".encode())
        return {
            "dataset": self.dataset.name,
            "queries": digest.hexdigest()[:16],
            "model": self.encoder.model,
            "modes": [f"{mode.name}: {mode.fusion}" for mode in self.modes],
            "k": self.k,
            "candidates": self.candidates,
        }

    def exact_search(self) -> ExactSearch:
        """Prepare the exact search of a stream."""
        return ExactSearch(
            self._encoded(),
            reps=[rep for rep in REPS if rep in self._reps()],
            depth=max(self.k, self.candidates) + self._removed,
            scan_colbert=any(mode.reps == ("colbert",) for mode in self.modes),
        )

    def exact(self, search: ExactSearch) -> Iterator[Result]:
        """Answer from what the exact search holds at the end of the stream."""
        for mode in self.modes:
            run = {}
            for position, query in enumerate(self.dataset.queries):
                ranked = search.rank(position, self._search(search.queries[position], mode))
                run[query] = self._cut(query, [(entry.name, entry.score) for entry in ranked])
            yield Result(name=mode.name, run=run, mode=mode)

    def through(
        self, index: HybridIndex, work: WorkFolder, references: Sequence[Result]
    ) -> Iterator[Result]:
        """Ask an index what it was not asked yet, one query at a time."""
        exact = {result.name: result.run for result in references}
        encoded = self._encoded()
        for mode in self.modes:
            name = f"{mode.name} @ index"
            file, times = work.run_file(name), []
            for query, output in zip(self.dataset.queries, encoded, strict=True):
                if query in file.run:
                    continue
                start = perf_counter()
                hits = index.search(self._search(output, mode))
                times.append(1000 * (perf_counter() - start))
                file.add(query, self._cut(query, [(hit.document.id, hit.score) for hit in hits]))
            yield Result(
                name=name,
                run={query: file.run.get(query, []) for query in self.dataset.queries},
                mode=mode,
                milliseconds=_median(times),
                reference=exact.get(mode.name),
            )

    def baseline(self, name: str, baseline: Baseline) -> Result:
        """Ask what is measured beside M3."""
        run = baseline(self.dataset, self.k + self._removed)
        return Result(
            name=name,
            run={query: self._cut(query, ranking) for query, ranking in run.items()},
        )

    def reranked(self, reranker: Reranker, result: Result) -> Result:
        """Reorder the first `candidates` of a result; their texts are read from the corpus."""
        first = {query: ranking[: self.candidates] for query, ranking in result.run.items()}
        wanted = {id_ for ranking in first.values() for id_, _ in ranking}
        documents = self.dataset.documents()
        texts = {document.id: document.text for document in documents if document.id in wanted}
        run, times = {}, []
        for query, text in self.dataset.queries.items():
            ids = [id_ for id_, _ in first[query]]
            start = perf_counter()
            scores = reranked_scores(reranker, text, [texts[id_] for id_ in ids])
            times.append(1000 * (perf_counter() - start))
            pairs = zip(ids, scores, strict=True)
            run[query] = sorted(pairs, key=lambda pair: (-pair[1], pair[0]))
        return Result(
            name=f"{result.name} + reranker", run=run, mode=result.mode, milliseconds=_median(times)
        )

    @property
    def _removed(self) -> int:
        """How many more documents are searched, since the query's own is removed."""
        return 0 if self.dataset.keep_query_id else 1

    def _reps(self) -> set[Rep]:
        return {rep for mode in self.modes for rep in mode.reps}

    def _encoded(self) -> list[M3Output]:
        reps = [rep for rep in REPS if rep in self._reps()]
        return self.encoder.encode_queries(list(self.dataset.queries.values()), reps)

    def _search(self, query: M3Output, mode: Mode) -> Search:
        return Search(
            query=query.only(*mode.reps),
            k=self.k + self._removed,
            fusion=mode.fusion,
            candidates=self.candidates + self._removed,
        )

    def _cut(self, query: str, ranking: Sequence[tuple[str, float]]) -> list[tuple[str, float]]:
        keeps = self.dataset.keep_query_id
        return [pair for pair in ranking if keeps or pair[0] != query][: self.k]


def _median(times: Sequence[float]) -> float | None:
    return median(times) if times else None
