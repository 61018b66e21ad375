"""Compaction, and searches that compare with every vector whatever the index."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.milvus.conftest import lite
from tests.processes import until

from m3kit import Document, Hit, MemoryIndex, Search
from m3kit.cli import optimize as optimizing
from m3kit.index import UnsupportedError
from m3kit.optimization import Graph, optimize
from m3kit.testing import DIM, TEXTS, assert_same_hits, query, records
from m3kit_milvus import MilvusIndex, MilvusOptions


def test_a_collection_is_compacted_and_its_graph_is_milvus_s_own(tmp_path: Path) -> None:
    with lite(tmp_path / "papers.db") as client:
        index = MilvusIndex(client, "papers", dim=DIM)
        index.upsert(records([Document("a", "the dog"), Document("b", "the bear")]))
        index.delete(["a"])
        assert optimize(index) is None
        assert index.optimization is None
        assert index.count() == 1
        with pytest.raises(UnsupportedError, match=r"MilvusOptions\.dense_index"):
            optimize(index, Graph())
        assert optimizing.run(index, "papers.db") == "optimized papers.db"  # with no word of graphs


def ids(hits: list[Hit]) -> set[str]:
    return {hit.document.id for hit in hits}


def test_an_exact_search_scans_what_an_approximate_index_may_miss(tmp_path: Path) -> None:
    documents = records(Document(f"{n}", f"{TEXTS[n % len(TEXTS)]} {n}") for n in range(300))
    oracle = MemoryIndex(DIM, reps=["dense", "sparse"])
    oracle.upsert(documents)
    options = MilvusOptions(
        dense_index={"index_type": "IVF_FLAT", "params": {"nlist": 64}},
        dense_search_params={"nprobe": 1},
    )
    with lite(tmp_path / "papers.db") as client:
        index = MilvusIndex(client, "papers", dim=DIM, options=options)
        index.upsert(documents)
        index.flush()
        encoded = query("the growling bear 7", "dense")
        exact, approximate = (Search(query=encoded, k=40, exact=how) for how in (True, None))
        assert_same_hits(index.search(exact), oracle.search(exact))
        nearest = ids(oracle.search(exact))
        until(lambda: ids(index.search(approximate)) != nearest)  # the index is built meanwhile
