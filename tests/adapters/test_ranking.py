"""Rankings whose names are not the ids: ids are asked for where they decide, and there alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from m3kit import RRF, Search, WeightedSum
from m3kit.adapters.ranking import Scorer, best, rank
from m3kit.fusion import Fusion, Ranking, by_score
from m3kit.testing import query
from m3kit.vectors import REPS, Rep

SCORES = st.dictionaries(st.text("abc", min_size=1, max_size=3), st.sampled_from([0.0, 0.25, 0.5]))


def _name(id_: str) -> str:
    """Name a document so that names order otherwise than ids do."""
    return id_[::-1] + "'"


@dataclass(frozen=True, slots=True)
class _Named(Scorer):
    """Scores by representation and id, told by names."""

    scored: Mapping[Rep, Mapping[str, float]]
    named: bool
    requests: list[Sequence[str]] = field(default_factory=list)

    def nearest(self, limits: Mapping[Rep, int], /) -> Mapping[Rep, Ranking]:
        every = self.scores({rep: [*map(self._called, self.scored[rep])] for rep in limits})
        return {
            rep: sorted(by_name.items(), key=lambda pair: -pair[1])[: limits[rep]]
            for rep, by_name in every.items()
        }

    def scores(self, wanted: Mapping[Rep, Sequence[str]]) -> Mapping[Rep, Mapping[str, float]]:
        ids = {rep: self._known() for rep in wanted}
        return {
            rep: {name: self.scored[rep].get(ids[rep][name], 0.0) for name in names}
            for rep, names in wanted.items()
        }

    def ids(self, names: Sequence[str], /) -> Mapping[str, str]:
        self.requests.append(names)
        known = self._known()
        return {name: known[name] for name in names}

    def _known(self) -> Mapping[str, str]:
        return {self._called(id_): id_ for scores in self.scored.values() for id_ in scores}

    def _called(self, id_: str) -> str:
        return _name(id_) if self.named else id_


@given(SCORES, st.integers(1, 9))
def test_the_best_are_those_of_the_ids(scores: dict[str, float], limit: int) -> None:
    ids = {_name(id_): id_ for id_ in scores}
    ranking = best(
        ((name, scores[id_]) for name, id_ in ids.items()),
        limit,
        lambda names: {name: ids[name] for name in names},
    )
    assert [(ids[name], score) for name, score in ranking] == by_score(scores.items())[:limit]


@given(st.fixed_dictionaries(dict.fromkeys(REPS, SCORES)), st.integers(1, 5), st.integers(1, 9))
@pytest.mark.parametrize("fusion", [RRF(), WeightedSum()])
def test_names_rank_as_their_ids_do(
    fusion: Fusion, scored: dict[Rep, dict[str, float]], k: int, candidates: int
) -> None:
    search = Search(query=query("bear"), k=k, candidates=candidates, fusion=fusion)
    every: list[tuple[Rep, ...]] = [("dense",), ("dense", "sparse"), ("sparse", "colbert"), REPS]
    for reps in every:
        narrowed = replace(search, query=search.query.only(*reps))
        by_id = rank(_Named(scored, named=False), narrowed)
        by_name = rank(_Named(scored, named=True), narrowed)
        assert [_name(entry.name) for entry in by_id] == [entry.name for entry in by_name]


def test_ids_are_not_asked_for_where_no_score_is_shared() -> None:
    scorer = _Named({"dense": {"a": 0.3, "b": 0.2}, "sparse": {"a": 0.1}}, named=True)
    rank(scorer, Search(query=query("bear", "dense", "sparse")))
    assert scorer.requests == []


@given(st.fixed_dictionaries(dict.fromkeys(REPS, SCORES)), st.integers(1, 5), st.integers(1, 9))
@pytest.mark.parametrize("fusion", [RRF(), WeightedSum()])
def test_what_is_verified_ranks_as_if_the_engine_had_left_out_the_rest(
    fusion: Fusion, scored: dict[Rep, dict[str, float]], k: int, candidates: int
) -> None:
    search = Search(query=query("bear"), k=k, candidates=candidates, fusion=fusion)
    matching = {
        rep: {id_: score for id_, score in by_id.items() if "b" not in id_}
        for rep, by_id in scored.items()
    }

    def verify(names: Sequence[str]) -> list[str]:
        return [name for name in names if "b" not in name]

    every: list[tuple[Rep, ...]] = [("dense",), ("colbert",), ("dense", "sparse"), REPS]
    for reps in every:
        narrowed = replace(search, query=search.query.only(*reps))
        assert rank(_Named(scored, named=False), narrowed, verify=verify) == rank(
            _Named(matching, named=False), narrowed
        )
