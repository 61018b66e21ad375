"""Every pair of stores that run here, and what becomes of a copy that is stopped or wrong."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qdrant_client import QdrantClient
from tests.milvus.conftest import lite
from tests.qdrant.conftest import Server
from tests.shelf import shelf
from tests.vespa import store as vespa
from typer.testing import CliRunner

from m3kit import Document, Eq, HybridIndex, MemoryIndex, Not, Record, Search, open_index
from m3kit.adapters.storage import ColbertStorage
from m3kit.cli.app import app
from m3kit.copying import (
    CopyError,
    copy_index,
    open_target,
    reencode_index,
    switch_alias,
)
from m3kit.index import ModelMismatchError, RepresentationError, UnsupportedError
from m3kit.scoring import require
from m3kit.testing import DIM, DOCUMENTS, HashEncoder, assert_same_hits, query, records
from m3kit.torch import TorchEncoder
from m3kit.vectors import REPS, Rep
from m3kit_milvus import MilvusIndex
from m3kit_qdrant import EdgeIndex, QdrantIndex

__all__ = ["shelf"]

Open = Callable[[Path, Sequence[Rep]], AbstractContextManager[HybridIndex]]


@contextmanager
def memory(_: Path, reps: Sequence[Rep]) -> Iterator[HybridIndex]:
    yield MemoryIndex(DIM, reps=reps, model=HashEncoder.model)


def edge(folder: Path, reps: Sequence[Rep]) -> AbstractContextManager[HybridIndex]:
    return EdgeIndex(folder / "edge", dim=DIM, reps=reps, model=HashEncoder.model)


@contextmanager
def local(_: Path, reps: Sequence[Rep]) -> Iterator[HybridIndex]:
    client = QdrantClient(":memory:")
    yield QdrantIndex(client, "papers", dim=DIM, reps=reps, model=HashEncoder.model)
    client.close()


@contextmanager
def served(folder: Path, reps: Sequence[Rep]) -> Iterator[HybridIndex]:
    with (
        Server(folder) as server,
        open_index(
            f"qdrant://{server.address}/papers", dim=DIM, reps=reps, model=HashEncoder.model
        ) as index,
    ):
        yield index


@contextmanager
def milvus(folder: Path, reps: Sequence[Rep]) -> Iterator[HybridIndex]:
    with lite(folder / "papers.db") as client:
        yield MilvusIndex(client, "papers", dim=DIM, reps=reps, model=HashEncoder.model)


@contextmanager
def vespa_peer(folder: Path, reps: Sequence[Rep]) -> Iterator[HybridIndex]:
    encoder = HashEncoder()
    encoder.reps = frozenset(reps)
    with vespa.on_the_peer(folder, encoder) as index:
        yield index


STORES: dict[str, Open] = {
    "memory": memory,
    "edge": edge,
    "local": local,
    "served": served,
    "milvus": milvus,
    "vespa": vespa_peer,
}
PAIRS = [
    pytest.param(a, b, marks=pytest.mark.peer if "vespa" in (a, b) else ())
    for a, b in product(STORES, STORES)
    if (a, b) != ("vespa", "vespa")
]


@contextmanager
def both(folder: Path, source: str, target: str) -> Iterator[tuple[HybridIndex, HybridIndex]]:
    reps = [rep for rep in REPS if rep != "colbert" or "milvus" not in (source, target)]
    with ExitStack() as stack:
        indexes = []
        for number, name in enumerate((source, target)):
            place = folder / f"{number}"
            place.mkdir()
            indexes.append(stack.enter_context(STORES[name](place, reps)))
        yield indexes[0], indexes[1]


def filled(index: HybridIndex) -> HybridIndex:
    index.upsert(records(DOCUMENTS))
    index.flush()
    return index


def vectors_of(index: HybridIndex) -> dict[str, list[Any]]:
    return {
        record.document.id: [
            record.document,
            None if record.output.dense is None else record.output.dense.tolist(),
            None if record.output.sparse is None else record.output.sparse.to_dict(),
            None if record.output.colbert is None else record.output.colbert.tolist(),
        ]
        for record in index.scan(None, index.reps)
    }


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_an_index_moves_with_its_vectors(tmp_path: Path, source: str, target: str) -> None:
    with both(tmp_path, source, target) as (old, new):
        copied = copy_index(filled(old), new)
        assert (copied.written, copied.present) == (len(DOCUMENTS), 0)
        assert copied.reps == old.reps
        assert copied.comparison is not None
        assert set(copied.comparison.identical) == old.reps
        if "vespa" not in (source, target):
            assert set(copied.comparison.identical.values()) == {1.0}
            assert vectors_of(new) == vectors_of(old)
        assert set(copied.comparison.agreement.values()) == {1.0}
        for search in (Search(query=query("the growling bear", *old.reps)),):
            assert_same_hits(new.search(search), old.search(search))


def test_a_target_is_created_as_the_source_is(tmp_path: Path) -> None:
    with EdgeIndex(tmp_path / "a", dim=DIM, reps=["dense", "sparse"], model="hash@1") as old:
        filled(old)
        with open_target(old, tmp_path / "b") as new:
            assert (new.reps, new.model) == (old.reps, old.model)
            copy_index(old, new)
        with open_target(old, tmp_path / "c", reps=["sparse"]) as new:
            assert new.reps == {"sparse"}
            assert copy_index(old, new, reps=["sparse"]).written == len(DOCUMENTS)


def test_an_empty_index_is_not_copied(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no document"):
        open_target(MemoryIndex(DIM), tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_some_documents_may_be_copied() -> None:
    source, target = filled(MemoryIndex(DIM)), MemoryIndex(DIM)
    where = Not(Eq("lang", "en"))
    copied = copy_index(source, target, where=where)
    assert copied.written == source.count(where) == target.count() > 0
    assert copied.comparison is not None
    assert copied.comparison.agreement == {}


def test_what_a_target_cannot_hold_is_refused_unless_it_is_left_behind(tmp_path: Path) -> None:
    source = filled(MemoryIndex(DIM, model="hash@1"))
    with lite(tmp_path / "papers.db") as client:
        target = MilvusIndex(client, "papers", dim=DIM, model="hash@1")
        with pytest.raises(
            RepresentationError, match=r"no colbert .* leave .* reps=\['dense', 'sparse'\]"
        ):
            copy_index(source, target)
        assert target.count() == 0
        assert copy_index(source, target, reps=["dense", "sparse"]).written == len(DOCUMENTS)


def test_a_target_that_wants_more_is_refused() -> None:
    with pytest.raises(RepresentationError, match="target holds colbert vectors, which are not"):
        copy_index(filled(MemoryIndex(DIM)), MemoryIndex(DIM), reps=["dense", "sparse"])


def test_another_model_is_refused() -> None:
    with pytest.raises(ModelMismatchError, match="the target was made by other@2"):
        copy_index(filled(MemoryIndex(DIM, model="hash@1")), MemoryIndex(DIM, model="other@2"))


class Stops(MemoryIndex):
    """An index that fails after so many documents."""

    left = 5
    writes = 0

    def upsert(self, records: Sequence[Record], /) -> None:
        for record in records:
            if not self.left:
                raise OSError("the network is gone")
            self.left -= 1
            self.writes += 1
            super().upsert([record])


def test_a_copy_that_was_stopped_is_completed_and_nothing_is_written_twice() -> None:
    source, target = filled(MemoryIndex(DIM)), Stops(DIM)
    with pytest.raises(OSError, match="network is gone") as caught:
        copy_index(source, target)
    assert "the same call again copies the rest" in caught.value.__notes__[0]
    assert target.count() == 5
    target.left = 1000
    seen: list[int] = []
    copied = copy_index(source, target, on_batch=seen.append)
    assert (copied.written, copied.present) == (len(DOCUMENTS) - 5, 5)
    assert seen[-1] == len(DOCUMENTS)
    assert target.writes == len(DOCUMENTS)
    assert copy_index(source, target).written == 0
    assert vectors_of(target) == vectors_of(source)


def test_a_document_that_has_changed_is_copied_again() -> None:
    source, target = filled(MemoryIndex(DIM)), MemoryIndex(DIM)
    copy_index(source, target)
    (record,) = source.get([DOCUMENTS[0].id], REPS)
    changed = replace(record, document=Document(DOCUMENTS[0].id, "another", {"x": 1}))
    source.upsert([changed])
    assert copy_index(source, target).written == 1
    assert vectors_of(target) == vectors_of(source)


class Loses(MemoryIndex):
    """An index that forgets one document."""

    def upsert(self, records: Sequence[Record], /) -> None:
        super().upsert([record for record in records if record.document.id != DOCUMENTS[2].id])


class Garbles(MemoryIndex):
    """An index that changes the vectors of a representation a little, or a text."""

    rep: Rep | None = "dense"

    def upsert(self, records: Sequence[Record], /) -> None:
        super().upsert([self._garbled(record) for record in records])

    def _garbled(self, record: Record) -> Record:
        output = record.output
        match self.rep:
            case "dense":
                rolled = np.roll(require(output.dense, "dense"), 1)
                return replace(record, output=replace(output, dense=rolled))
            case "colbert":
                return replace(record, output=replace(output, colbert=output.colbert[:1]))  # type: ignore[index]
            case _:
                return replace(record, document=replace(record.document, text="something"))


@pytest.mark.parametrize(
    ("target", "rep", "problem"),
    [
        (Loses, None, r"of \d+ documents, the target holds \d+; document .* is missing"),
        (Garbles, "dense", "the dense vectors of document '.*' differ by"),
        (Garbles, "colbert", "the colbert vectors of document '.*' differ by inf"),
        (Garbles, None, "has another text or other metadata"),
    ],
)
def test_a_copy_that_differs_is_an_error(target: type[Any], rep: Rep | None, problem: str) -> None:
    index = target(DIM)
    index.rep = rep
    with pytest.raises(CopyError, match=problem):
        copy_index(filled(MemoryIndex(DIM)), index)


class Misranks(MemoryIndex):
    """An index that finds the worst first."""

    def search(self, search: Search, /) -> Any:
        return super().search(replace(search, k=100))[::-1][: search.k]


def test_rankings_that_differ_are_an_error() -> None:
    with pytest.raises(CopyError, match=r"searches of both have .* in common"):
        copy_index(filled(MemoryIndex(DIM)), Misranks(DIM))


@pytest.mark.parametrize(
    "storage", [ColbertStorage("float16"), ColbertStorage("int8"), ColbertStorage("int8", 2)]
)
def test_a_coarser_form_is_compared_as_such(tmp_path: Path, storage: ColbertStorage) -> None:
    source = filled(MemoryIndex(DIM))
    with EdgeIndex(tmp_path / "small", dim=DIM, colbert=storage) as target:
        copied = copy_index(source, target)
        assert copied.comparison is not None
        assert copied.comparison.identical["dense"] == 1
        assert copied.comparison.identical["colbert"] > 0.9
        back = copy_index(target, MemoryIndex(DIM))
        assert back.comparison is not None
        assert set(back.comparison.identical.values()) == {1.0}


def test_pooled_vectors_are_not_pooled_again() -> None:
    storage = ColbertStorage("int8", 2)
    source = filled(MemoryIndex(DIM, colbert=storage))
    with pytest.raises(RepresentationError, match="would pool again"):
        copy_index(source, MemoryIndex(DIM, colbert=storage))
    copied = copy_index(source, MemoryIndex(DIM, colbert=ColbertStorage("int8")))
    assert copied.comparison is not None
    assert copied.comparison.identical["colbert"] == 1


def test_a_resumed_copy_reads_by_ids(tmp_path: Path) -> None:
    with EdgeIndex(tmp_path / "a", dim=DIM) as source, EdgeIndex(tmp_path / "b", dim=DIM) as target:
        many = [Document(f"{n}", "the dog", {"n": n}) for n in range(700)]
        source.upsert(records(many))
        target.upsert(records(many[:100]))
        copied = copy_index(source, target)
        assert (copied.written, copied.present) == (600, 100)
        assert vectors_of(target) == vectors_of(source)


# Another model, beside the old index


def test_texts_are_encoded_by_another_model_beside_the_index(tmp_path: Path) -> None:
    source = filled(MemoryIndex(DIM, model="old@1"))
    encoder = TorchEncoder.from_pretrained("tiny")
    with open_index(tmp_path / "new", encoder=encoder) as target:
        copied = reencode_index(source, target, encoder)
        assert (copied.written, copied.present) == (len(DOCUMENTS), 0)
        assert target.model == encoder.model
        target.delete([DOCUMENTS[0].id])
        copied = reencode_index(source, target, encoder)
        assert (copied.written, copied.present) == (1, len(DOCUMENTS) - 1)
    assert source.count() == len(DOCUMENTS)


@pytest.mark.parametrize("store", ["local", "served", "milvus"])
def test_an_alias_switches_at_once(tmp_path: Path, store: str) -> None:
    with ExitStack() as stack:
        opened: Callable[[str], HybridIndex]
        if store == "milvus":
            client = stack.enter_context(lite(tmp_path / "papers.db"))
            opened = lambda name: MilvusIndex(client, name, dim=DIM, reps=["dense"])  # noqa: E731
        else:
            address = stack.enter_context(Server(tmp_path)).address
            qdrant = QdrantClient(":memory:" if store == "local" else f"http://{address}")
            stack.callback(qdrant.close)
            opened = lambda name: QdrantIndex(qdrant, name, dim=DIM, reps=["dense"])  # noqa: E731
        old, new = opened("old"), opened("new")
        filled(old)
        switch_alias(old, "papers")
        assert opened("papers").count() == len(DOCUMENTS)
        copy_index(old, new)
        new.delete([DOCUMENTS[0].id])
        switch_alias(new, "papers")
        assert opened("papers").count() == len(DOCUMENTS) - 1
        assert old.count() == len(DOCUMENTS)


def test_a_folder_has_no_alias(tmp_path: Path) -> None:
    with (
        EdgeIndex(tmp_path, dim=DIM) as index,
        pytest.raises(UnsupportedError, match="search at the new address"),
    ):
        switch_alias(index, "papers")


# The command


def run(*args: object) -> Any:
    return CliRunner().invoke(app, [*map(str, args)], prog_name="m3kit")


def test_the_command_copies_reencodes_and_says_what_it_did(tmp_path: Path, shelf: Any) -> None:
    file = tmp_path / "texts.jsonl"
    lines = [json.dumps({"id": f"{n}", "text": f"text {n}"}) for n in range(8)]
    file.write_text("\n".join(lines), encoding="utf-8")
    assert run("index", file, "--to", tmp_path / "a", "--model", "tiny").exit_code == 0
    copied = run("copy", "--from", tmp_path / "a", "--to", "shelf://b")
    assert copied.exit_code == 0, copied.output
    assert copied.stdout == (
        "shelf://b: 8 documents written (dense, sparse, colbert); verified 8 documents; of 8 "
        "compared, bit-equal are dense 100%, sparse 100%, colbert 100%; rankings agree in "
        "dense 100%, sparse 100%, colbert 100%\n"
    )
    assert shelf["b"].count() == 8
    again = run("copy", "--from", tmp_path / "a", "--to", "shelf://b")
    assert "0 documents written, 8 were there" in again.stdout
    dense = run("copy", "--from", tmp_path / "a", "--to", tmp_path / "d", "--reps", "dense")
    assert "8 documents written (dense)" in dense.stdout, dense.output
    anew = run("copy", "--from", tmp_path / "d", "--to", tmp_path / "e", "--model", "tiny")
    assert "8 documents written (dense, sparse, colbert)" in anew.stdout, anew.output
    with open_index(tmp_path / "e") as index:
        assert index.reps == frozenset(REPS)


def test_the_command_says_what_cannot_be_copied(tmp_path: Path) -> None:
    with EdgeIndex(tmp_path / "a", dim=DIM, reps=["sparse"]) as index:
        filled(index)
    result = run("copy", "--from", tmp_path / "a", "--to", tmp_path / "b", "--reps", "dense")
    assert result.exit_code == 4
    assert "this index holds no dense vectors" in result.stderr
    missing = run("copy", "--from", tmp_path / "nowhere", "--to", tmp_path / "b")
    assert missing.exit_code == 4
    alias = run("copy", "--from", tmp_path / "a", "--to", tmp_path / "c", "--alias", "papers")
    assert alias.exit_code == 4
    assert "has no aliases" in alias.stderr
