"""The whole suite."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from m3kit.filters import All
from m3kit.index import HybridIndex
from m3kit.memory import MemoryIndex
from m3kit.testing.assertions import PRECISION, assert_same_hits
from m3kit.testing.encoder import DIM, records
from m3kit.testing.filtering import FilterConformance
from m3kit.testing.groups import GroupConformance
from m3kit.testing.ranking import RankingConformance
from m3kit.testing.refusals import RefusalConformance
from m3kit.testing.samples import NASTY_IDS
from m3kit.testing.storage import StorageConformance
from m3kit.testing.strategies import documents, driven, filters, searches


class IndexConformance(
    RankingConformance, GroupConformance, RefusalConformance, StorageConformance, FilterConformance
):
    """What all indexes must do alike, a claim per test."""

    @driven
    @given(data=st.data())
    def test_any_history_leaves_what_the_oracle_has(
        self, index: HybridIndex, data: st.DataObject
    ) -> None:
        index.delete_where(All())
        oracle = MemoryIndex(DIM, reps=index.reps, colbert=self.storage)
        for _ in range(data.draw(st.integers(1, 5))):
            _step(data, index, oracle)
        assert index.count() == oracle.count()
        search = data.draw(searches(index.reps))
        within = self.within(search.query)
        if within > PRECISION:  # scores that close may put another hit at the head of a group
            search = replace(search, group_by=None, group_size=1)
        hits = index.search(search)
        assert_same_hits(hits, oracle.search(search), within=within)


def _step(data: st.DataObject, *indexes: HybridIndex) -> None:
    """Do the same to all indexes: write, or delete by id or by filter."""
    verb = data.draw(st.sampled_from(["upsert", "upsert", "delete", "delete_where"]))
    batch = records(data.draw(st.lists(documents(), max_size=4)))
    ids = data.draw(st.lists(st.sampled_from(NASTY_IDS), max_size=3))
    where = data.draw(filters())
    for index in indexes:
        if verb == "upsert":
            index.upsert(batch)
        elif verb == "delete":
            index.delete(ids)
        else:
            index.delete_where(where)
