"""What is given in another form is refused, with what was wanted; nothing is lost by it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from m3kit import (
    RRF,
    Document,
    Eq,
    HybridIndex,
    MemoryIndex,
    Record,
    Retriever,
    Search,
    WeightedSum,
    WithColbert,
    open_index,
)
from m3kit.testing import ENCODER, query


def _memory(_: Path) -> AbstractContextManager[HybridIndex]:
    return nullcontext(MemoryIndex(encoder=ENCODER))


def _composed(_: Path) -> AbstractContextManager[HybridIndex]:
    index = MemoryIndex(encoder=ENCODER, reps=["dense", "sparse"])
    return nullcontext(WithColbert(index, ENCODER))


def _embedded(folder: Path) -> AbstractContextManager[HybridIndex]:
    return open_index(folder, encoder=ENCODER)


@pytest.fixture(params=[_memory, _composed, _embedded])
def index(request: pytest.FixtureRequest, directory: Path) -> Iterator[HybridIndex]:
    with request.param(directory) as index:
        documents = [Document(id_, f"the bear {id_}", {"lang": "de"}) for id_ in ("12", "1", "2")]
        Retriever(ENCODER, index).add(documents)
        yield index


WRONG: dict[str, tuple[Callable[[Any], object], str]] = {
    "delete of a string": (lambda index: index.delete("12"), "ids are a list or tuple of strings"),
    "delete of a number": (lambda index: index.delete([12]), "an id is a string, not 12"),
    "delete of None": (lambda index: index.delete(None), "ids are a list or tuple of strings"),
    "get of a string": (lambda index: index.get("12"), "ids are a list or tuple of strings"),
    "delete_where of None": (lambda index: index.delete_where(None), "pass All()"),
    "delete_where of a dict": (lambda index: index.delete_where({"lang": "de"}), "is not a filter"),
    "delete_where of a list": (lambda index: index.delete_where([Eq("a", 1)]), "is not a filter"),
    "count of a dict": (lambda index: index.count({"lang": "de"}), "is not a filter"),
    "scan of a dict": (lambda index: list(index.scan({"lang": "de"})), "is not a filter"),
    "upsert of a record": (
        lambda index: index.upsert(Record(Document("a", ""), query("a"))), "several records"
    ),
    "upsert of documents": (lambda index: index.upsert([Document("a", "")]), "takes records"),
    "search of a text": (lambda index: index.search("bear"), "searches for a Search"),
    "a where of a dict": (
        lambda index: Retriever(ENCODER, index).search("bear", where={"lang": "de"}),  # type: ignore[arg-type]  # wrong on purpose
        "is not a filter",
    ),
    "a k of text": (
        lambda index: Retriever(ENCODER, index).search("bear", k="3"),  # type: ignore[arg-type]  # so
        "k is an integer, not '3'",
    ),
    "a k of a fraction": (
        lambda index: Retriever(ENCODER, index).search("bear", k=2.5),  # type: ignore[arg-type]  # so
        "k is an integer, not 2.5",
    ),
    "a threshold of text": (
        lambda index: Retriever(ENCODER, index).search("bear", min_score="0.5"),  # type: ignore[arg-type]  # so
        "min_score is a number",
    ),
    "a query of None": (lambda index: Retriever(ENCODER, index).search(None), "a query is a str"),  # type: ignore[arg-type]  # so
    "a fusion of a class": (
        lambda index: Retriever(ENCODER, index).search("bear", fusion=RRF),  # type: ignore[arg-type]  # so
        "a fusion is RRF() or WeightedSum()",
    ),
    "an unknown fusion": (
        lambda index: Retriever(ENCODER, index).search("bear", fusion="dbsf"),  # type: ignore[arg-type]  # so
        "there are 'rrf' and 'weighted'",
    ),
    "swapped arguments": (lambda index: Retriever(index, ENCODER), "an encoder is wanted"),  # type: ignore[arg-type]  # so
    "a model's name": (lambda index: Retriever("tiny", index), "TorchEncoder.from_pretrained"),  # type: ignore[arg-type]  # so
    "an index's address": (lambda _: Retriever(ENCODER, "papers"), "open one by m3kit.open_index"),  # type: ignore[arg-type]  # so
    "add of a document": (
        lambda index: Retriever(ENCODER, index).add(Document("a", "")), "several documents"  # type: ignore[arg-type]  # so
    ),
    "add of texts": (
        lambda index: Retriever(ENCODER, index).add(["a"]), "write Document(id, text)"  # type: ignore[list-item]  # so
    ),
    "a batch of text": (
        lambda index: Retriever(ENCODER, index).add([], batch_size="8"), "batch_size is an integer"  # type: ignore[arg-type]  # so
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_another_kind_is_refused_and_nothing_is_lost(index: HybridIndex, what: str) -> None:
    call, why = WRONG[what]
    with pytest.raises((TypeError, ValueError), match=re.escape(why)):
        call(index)
    assert sorted(record.document.id for record in index.scan()) == ["1", "12", "2"]


def test_a_fusion_may_go_by_its_name(index: HybridIndex) -> None:
    retriever = Retriever(ENCODER, index)
    assert retriever.search("bear", fusion="rrf") == retriever.search("bear", fusion=RRF())
    assert retriever.search("bear", fusion="weighted") == retriever.search(
        "bear", fusion=WeightedSum()
    )


def test_numbers_of_numpy_are_numbers(index: HybridIndex) -> None:
    assert len(Retriever(ENCODER, index).search("bear", k=np.int64(2))) == 2  # type: ignore[arg-type]  # an integer to Python


def test_ids_may_come_from_anything_that_iterates(index: HybridIndex) -> None:
    index.delete(id_ for id_ in ("1", "2"))  # type: ignore[arg-type]  # a generator
    assert [record.document.id for record in index.scan()] == ["12"]


def test_an_encoder_is_one_wherever_it_is_taken(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="an encoder is wanted, not 'tiny'"):
        open_index(tmp_path / "index", encoder="tiny")  # type: ignore[arg-type]  # wrong on purpose
    with pytest.raises(TypeError, match="a search takes an encoded query, not 'bear'"):
        Search(query="bear")  # type: ignore[arg-type]  # so
    assert not (tmp_path / "index").exists()
