"""Searches that group their hits."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from itertools import combinations
from typing import Any

import pytest

from m3kit.filters import Contains, Eq, Not, Range, matches
from m3kit.fusion import RRF, Fusion, WeightedSum
from m3kit.index import HybridIndex, Search
from m3kit.records import Document
from m3kit.testing.assertions import PRECISION, assert_ranking, assert_same_hits
from m3kit.testing.encoder import query, records
from m3kit.testing.expected import plain_candidates, plain_groups, plain_ranking, same_json
from m3kit.testing.samples import DOCUMENTS
from m3kit.testing.suite import Suite, needs
from m3kit.vectors import REPS, Rep


class GroupConformance(Suite):
    """What a search returns by groups."""

    @pytest.mark.parametrize("fusion", [RRF(), WeightedSum()], ids=repr)
    def test_a_group_has_its_best_hits_and_stands_where_the_best_does(
        self, filled: HybridIndex, fusion: Fusion
    ) -> None:
        wanted = [("even", 1, 1), ("even", 2, 2), ("even", 2, 9), ("lang", 2, 3), ("lang", 1, 2)]
        wanted += [("n", 3, 2), ("nothing", 4, 2)]
        for reps in _combinations(filled.reps):
            encoded = query("the growling bear and the salmon", *reps)
            if self.within(encoded) > PRECISION:
                continue  # scores that close may put another hit at the head of a group
            ranking = plain_candidates(encoded, self.stored(DOCUMENTS), fusion, candidates=100)
            for field, k, group_size in wanted:
                hits = filled.search(
                    Search(query=encoded, fusion=fusion, k=k, group_by=field, group_size=group_size)
                )
                assert_ranking(hits, plain_groups(ranking, field, k=k, group_size=group_size))

    @pytest.mark.parametrize("fusion", [RRF(), WeightedSum()], ids=repr)
    def test_groups_are_made_of_the_candidates_alone(
        self, filled: HybridIndex, fusion: Fusion
    ) -> None:
        for reps in _combinations(filled.reps):
            encoded = query("the growling bear and the salmon", *reps)
            if self.within(encoded) > PRECISION:
                continue  # the last of the candidates may be another
            ranking = plain_candidates(encoded, self.stored(DOCUMENTS), fusion, candidates=3)
            for field in ("lang", "even"):
                search = Search(query=encoded, fusion=fusion, k=3, candidates=3, group_by=field)
                hits = filled.search(replace(search, with_scores=True))
                assert_ranking(hits, plain_groups(ranking, field, k=3, group_size=1))
                assert all(set(hit.scores) == set(reps) for hit in hits)
            wider = replace(search, group_size=4)
            assert wider.candidates == 12
            ranking = plain_candidates(encoded, self.stored(DOCUMENTS), fusion, candidates=12)
            assert_ranking(filled.search(wider), plain_groups(ranking, "even", k=3, group_size=4))

    def test_a_filter_keeps_before_groups_are_made(self, filled: HybridIndex) -> None:
        rep: Rep = "dense" if "dense" in filled.reps else "colbert"
        needs(filled, rep)
        encoded = query("the growling bear", rep)
        for where in (Range("n", ge=4), Not(Eq("even", value=True)), Contains("tags", "bear")):
            among = [document for document in DOCUMENTS if matches(where, document)]
            ranking = plain_ranking(rep, encoded, self.stored(among))
            search = Search(query=encoded, where=where, k=2, group_by="even", group_size=2)
            hits = filled.search(search)
            assert_ranking(
                hits, plain_groups(ranking, "even", k=2, group_size=2), within=self.within(encoded)
            )

    @pytest.mark.parametrize(
        "values",
        [
            [1, 1.0, True, "1", [1], {"a": 1}, 2],
            [0, -0.0, False, "", [0.0], {"a": [False]}, {"a": [0]}],
            [None, [], [None], {}, "null", "None"],
            [2**53, 2.0**53, 2**53 + 1, 2**63 - 1],
            [["a", "b"], ["b", "a"], ["a", "b"], "a", ["a"]],
            [{"a": 1, "b": True}, {"b": True, "a": 1.0}, {"a": 1, "b": 1}],
        ],
        ids=repr,
    )
    def test_a_group_is_a_value_of_any_json(self, index: HybridIndex, values: list[Any]) -> None:
        documents = [
            Document(f"{n}{m}", "bear", {"a": value, "b": {"c": value}, "b.c": n})
            for n, value in enumerate(values)
            for m in range(2)
        ]
        lacking = [Document(f"x{n}", "bear", {"b": {}} if n else {}) for n in range(3)]
        index.upsert(records([*documents, *lacking]))
        rep: Rep = "dense" if "dense" in index.reps else "colbert"
        needs(index, rep)
        distinct: list[Any] = []
        for value in values:
            if not any(same_json(value, other) for other in distinct):
                distinct.append(value)
        alone = sum(value in (None, []) for value in distinct)
        shared = len(distinct) - alone
        single = len(lacking) + 2 * sum(value in (None, []) for value in values)
        for field in ("a", ("b", "c")):
            search = Search(query=query("bear", rep), k=100, group_by=field)
            hits = index.search(search)
            assert len(hits) == shared + single, field
            assert [hit.document.id for hit in hits] == sorted(hit.document.id for hit in hits)
        every = replace(search, group_size=100)
        assert len(index.search(every)) == len(documents) + len(lacking)
        dotted = replace(search, group_by="b.c")
        assert len(index.search(dotted)) == len(values) + len(lacking)

    def test_min_score_leaves_out_hits_of_a_group(self, filled: HybridIndex) -> None:
        encoded = query("the growling bear", *filled.reps)
        search = Search(query=encoded, k=2, group_by="even", group_size=9)
        every = filled.search(search)
        least = sorted(hit.score for hit in every)[len(every) // 2] - 1e-3
        hits = filled.search(replace(search, min_score=least))
        assert_same_hits(hits, [hit for hit in every if hit.score >= least])


def _combinations(reps: Collection[Rep]) -> list[tuple[Rep, ...]]:
    """Return what a query may carry."""
    ordered = [rep for rep in REPS if rep in reps]
    return [chosen for n in range(len(ordered)) for chosen in combinations(ordered, n + 1)]
