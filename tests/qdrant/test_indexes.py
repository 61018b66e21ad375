"""Edge's indexes of the payload: made by the first filter that profits, and no answer changes."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pytest
import qdrant_edge as edge

from m3kit import MemoryIndex
from m3kit.filters import Contains, Eq, Exists, Filter, Not, Range, Substring
from m3kit.index import Search
from m3kit.records import Document, Json, Record
from m3kit.testing import DIM, TEXTS, query, records
from m3kit.vectors import M3Output
from m3kit_qdrant import EdgeIndex

UUID = "00000000-0000-0000-0000-000000000001"
VALUES: list[Any] = ["de", 1, 2.5, True, False, UUID, ["de", 1], [True], "", None, 1.0, 2**60, {}]


def schema(index: EdgeIndex) -> dict[str, edge.PayloadSchemaType]:
    return {key: info.data_type for key, info in index._engine._shard.info().payload_schema.items()}


def numbered(n: int) -> list[Record]:
    """Documents whose fields hold mostly strings, mostly numbers, mostly flags and mostly lists."""
    kinds: dict[str, list[Any]] = {"s": ["a", "b"], "n": [1, 2.5], "b": [True, False], "l": [["a"]]}
    return records(
        Document(
            f"{i}",
            TEXTS[i % 10],
            {
                name: VALUES[i // 20 % len(VALUES)] if i % 20 == 19 else usual[i % len(usual)]
                for name, usual in kinds.items()
            },
        )
        for i in range(n)
    )


FILTERS: list[Filter] = [
    make(name)
    for name in ("s", "n", "b", "l")
    for make in (
        lambda name: Eq(name, "de"),
        lambda name: Eq(name, UUID),
        lambda name: Eq(name, 1),
        lambda name: Eq(name, value=True),
        lambda name: Eq(name, 2**60),
        lambda name: Not(Eq(name, value=False)),
        lambda name: Contains(name, "a"),
        lambda name: Contains(name, value=True),
        lambda name: Range(name, gt=1, le=2.5),
        lambda name: Not(Range(name, ge=1)),
        Exists,
        lambda name: Substring(name, "d"),
    )
]


def test_indexes_are_made_by_filters_and_change_no_answer(directory: Path) -> None:
    written = numbered(1200)
    oracle = MemoryIndex(DIM)
    oracle.upsert(written)
    with EdgeIndex(directory, dim=DIM) as index:
        index.upsert(written)
        assert schema(index) == {}
        index.count(Eq("s", "a"))
        keyword = edge.PayloadSchemaType.Keyword
        assert schema(index) == {"metadata.s": keyword, "metadata.s[]": keyword}
        for where in FILTERS:
            assert {record.document.id for record in index.scan(where)} == {
                record.document.id for record in oracle.scan(where)
            }, where
        kinds = {key: kind for key, kind in schema(index).items() if not key.endswith("[]")}
        assert kinds == {
            "metadata.s": keyword,
            "metadata.n": edge.PayloadSchemaType.Float,
            "metadata.b": edge.PayloadSchemaType.Bool,
            "metadata.l": keyword,
        }
        assert index.unindexed_fields() == []
    with EdgeIndex(directory) as index:  # they survive, and what is written later is in them
        assert schema(index).keys() == {f"{key}{end}" for key in kinds for end in ("", "[]")}
        new = records([Document("new", "a bear", {"s": "de", "n": 1, "b": True, "l": ["a"]})])
        for store in (index, oracle):
            store.upsert(new)
            store.delete(["0", "19", "39"])
        for where in FILTERS:
            assert index.count(where) == oracle.count(where), where
            search = Search(query=query("the bear", "dense"), where=where, k=3)
            hits = [hit.document.id for hit in index.search(search)]
            assert hits == [hit.document.id for hit in oracle.search(search)]


def test_an_index_is_made_once_whatever_its_field_is_called(directory: Path) -> None:
    odd: dict[str, Json] = {"a.b": 1, "with space": "x", "ключ": True, "e-mail": "y"}
    where = Eq("a.b", 1) & Eq("with space", "x") & Eq("ключ", value=True) & Eq("e-mail", "y")
    with EdgeIndex(directory, dim=DIM, reps=["dense"]) as index:
        index.upsert(records(Document(f"{n}", "", odd) for n in range(1000)))
        assert index.count(where) == 1000
        made = schema(index)
        assert len(made) == 8
    with EdgeIndex(directory) as index:
        assert index.count(where) == 1000
        assert index._engine._indexed == made.keys() == schema(index).keys()


def test_few_documents_and_missing_fields_have_none(directory: Path) -> None:
    with EdgeIndex(directory, dim=DIM) as index:
        index.upsert(numbered(900))
        assert index.count(Eq("s", "a")) > 0
        assert schema(index) == {}
        index.upsert(numbered(1200))
        assert index.count(Eq("missing", "a") | Exists("missing")) == 0
        assert "metadata.missing" not in schema(index)
        index.upsert(records([Document("new", "", {"missing": 7})]))
        assert index.count(Eq("missing", "a") | Exists("missing")) == 1
        assert schema(index)["metadata.missing"] is edge.PayloadSchemaType.Float


def test_a_full_disk_makes_no_index_and_still_answers(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with EdgeIndex(directory, dim=DIM) as index:
        index.upsert(numbered(1200))

        def full(*_: object) -> None:
            raise OSError("full")

        monkeypatch.setattr("m3kit_qdrant.edge_client.check_room", full)
        assert index.count(Eq("s", "a")) > 0
        assert schema(index) == {}


@pytest.mark.slow
def test_a_filter_on_fifty_thousand_documents_is_fast(directory: Path) -> None:
    rng = np.random.default_rng(0)
    langs = ["de", "en", "fr", "it", "es"]
    with EdgeIndex(directory, dim=256, reps=["dense"]) as index:
        for start in range(0, 50_000, 1000):
            rows = rng.standard_normal((1000, 256)).astype(np.float32)
            index.upsert(
                [
                    Record(
                        Document(f"{n}", "", {"lang": langs[n % 5], "n": n, "even": n % 2 == 0}),
                        M3Output(dense=row),
                    )
                    for n, row in enumerate(rows, start)
                ]
            )
        encoded = M3Output(dense=rng.standard_normal(256).astype(np.float32))
        for where in (Eq("lang", "de"), Range("n", ge=49_000), Eq("n", 7), Range("n", lt=10_000)):
            search = Search(query=encoded, where=where)
            index.search(search)
            times = []
            for _ in range(5):
                start_s = perf_counter()
                index.search(search)
                times.append(perf_counter() - start_s)
            assert min(times) < 0.005, where
