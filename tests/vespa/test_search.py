"""Searches on Vespa's own Java: one request each, and the oracle's answers."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from tests.vespa.application import FORMS
from tests.vespa.drawn import drawn, output
from vespa.application import VespaSync

from m3kit.adapters.storage import ColbertStorage
from m3kit.filters import Eq, Filter
from m3kit.fusion import RRF, Fusion, WeightedSum
from m3kit.index import Search
from m3kit.memory import MemoryIndex
from m3kit.records import Document, Record
from m3kit.testing import DIM, assert_same_hits, query, records
from m3kit.vectors import REPS, Rep
from m3kit_vespa import VespaIndex

pytestmark = pytest.mark.peer
Emptied = Callable[[str], VespaIndex]


FUSIONS: list[Fusion] = [RRF(), RRF(7), WeightedSum(), WeightedSum(0.4, 0.2, 0.4)]


SEVERAL: list[tuple[Rep, ...]] = [reps for size in (1, 2, 3) for reps in combinations(REPS, size)]


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The bodies of the queries that pyvespa sends from now on."""
    sent: list[Any] = []
    send = VespaSync.query

    def counted(self: VespaSync, body: Any = None, **how: Any) -> Any:
        sent.append(body)
        return send(self, body, **how)

    monkeypatch.setattr(VespaSync, "query", counted)
    return sent


@pytest.mark.parametrize("schema", ["typed", "wands", *FORMS])
def test_a_search_equals_the_oracles_and_is_one_request(
    emptied: Emptied, schema: str, requests: list[Any]
) -> None:
    index = emptied(schema)
    storage = FORMS.get(schema, ColbertStorage())
    oracle = MemoryIndex(DIM, colbert=storage)
    for either in (index, oracle):
        either.upsert(drawn(70))
    rng = np.random.default_rng(11)
    where: list[Filter | None] = [None, Eq("year", 1993) | Eq("year", 1996)]
    for number, reps in enumerate(SEVERAL * 2):
        vectors = output(rng).only(*reps)
        for fusion in FUSIONS:
            search = Search(
                query=vectors,
                k=4,
                candidates=9,
                fusion=fusion,
                with_scores=True,
                where=where[number % 2],
            )
            requests.clear()
            assert_same_hits(index.search(search), oracle.search(search))
            assert len(requests) == 1
            assert all("timeout" in body for body in requests)


def test_more_hits_than_vespa_gives_by_default(emptied: Emptied) -> None:
    index = emptied("cases")
    many = [Record(Document(f"{n}", ""), record.output) for n, record in enumerate(drawn(1200))]
    index.upsert(many)
    (vectors,) = (record.output for record in drawn(1))
    hits = index.search(Search(query=vectors.only("dense"), k=1100))
    assert len({hit.document.id for hit in hits}) == 1100
    assert hits[0].document.id == "0"


def test_ties_are_broken_by_id_by_asking_each_branch(emptied: Emptied, requests: list[Any]) -> None:
    index, oracle = emptied("typed"), MemoryIndex(DIM)
    (twin,) = records([Document("twin", "the same bear")])
    for either in (index, oracle):
        either.upsert(
            [*drawn(30), *(Record(Document(f"twin {n}", ""), twin.output) for n in range(40))]
        )
    requests.clear()
    search = Search(query=query("same bear", "dense", "sparse"), k=3, candidates=5)
    assert_same_hits(index.search(search), oracle.search(search))
    assert len(requests) > 1
