from __future__ import annotations

import copy
import gc
import tracemalloc
from collections.abc import Collection, Sequence
from threading import Thread

import numpy as np
import pytest
from tests.processes import pickled

from m3kit import REPS, CachedEncoder, M3Output, Rep
from m3kit.encoder import same_model
from m3kit.testing import HashEncoder


class Counting(HashEncoder):
    def __init__(self) -> None:
        self.passes: list[str] = []

    def encode_documents(
        self, texts: Sequence[str], reps: Collection[Rep] | None = None
    ) -> list[M3Output]:
        self.passes += texts
        return super().encode_documents(texts, reps)


def test_a_text_asked_for_in_several_ways_is_encoded_once() -> None:
    counting = Counting()
    cached = CachedEncoder(counting)
    (dense,) = cached.encode_documents(["a"], ["dense"])
    sparse, again, other = cached.encode_documents(["a", "a", "b"], ["sparse"])
    assert counting.passes == ["a", "b"]
    assert [*dense.reps, *sparse.reps, *other.reps] == ["dense", "sparse", "sparse"]
    assert sparse.sparse is again.sparse


def test_queries_and_documents_are_not_confused() -> None:
    counting = Counting()
    cached = CachedEncoder(counting)
    cached.encode_documents(["a"])
    cached.encode_queries(["a"])
    assert counting.passes == ["a", "a"]


def test_the_least_recently_used_texts_are_forgotten_by_bytes() -> None:
    counting = Counting()
    cached = CachedEncoder(counting, reps=["dense"], max_bytes=2 * _entry_bytes())
    for text in ("a", "b", "a", "c", "a", "b"):
        cached.encode_documents([text])
    assert counting.passes == ["a", "b", "c", "b"]


def test_texts_are_counted_among_the_bytes() -> None:
    counting = Counting()
    cached = CachedEncoder(counting, reps=["dense"], max_bytes=20_000)
    text = "a" * 30_000
    cached.encode_documents([text])
    cached.encode_documents([text])
    assert counting.passes == [text] * 2


def test_a_full_cache_takes_no_more_memory_than_it_may() -> None:
    cached = CachedEncoder(HashEncoder(), max_bytes=2**20)
    cached.encode_documents(["warm", "up"])
    tracemalloc.start()
    for start in range(0, 4000, 100):
        numbers = (" ".join(str(start + number)) for number in range(100))
        cached.encode_documents([f"text {number} " + "é" * 500 for number in numbers])
    gc.collect()
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 0.3 * 2**20 < taken < 1.1 * 2**20


def test_a_pickled_cache_is_empty_and_otherwise_alike() -> None:
    cached = CachedEncoder(HashEncoder(), reps=["dense"], max_bytes=10_000)
    cached.encode_documents(["a"])
    for other in (pickled(cached), copy.deepcopy(cached)):
        assert (other.model, other.reps) == (cached.model, cached.reps)
        (got,), (expected,) = (each.encode_documents(["a"]) for each in (other, cached))
        np.testing.assert_array_equal(got.dense, expected.dense)


def _entry_bytes() -> int:
    """How many bytes of a cache one short text takes: the least with which it is cached."""
    for nbytes in range(0, 10_000, 8):
        counting = Counting()
        cached = CachedEncoder(counting, reps=["dense"], max_bytes=nbytes)
        cached.encode_documents(["a"])
        cached.encode_documents(["a"])
        if counting.passes == ["a"]:
            return nbytes
    raise AssertionError("nothing is cached")


def test_what_is_larger_than_the_cache_is_encoded_and_not_kept() -> None:
    counting = Counting()
    cached = CachedEncoder(counting, max_bytes=0)
    assert [output.reps for output in cached.encode_documents(["a", "b"])] == [set(REPS)] * 2
    cached.encode_documents(["a"])
    assert counting.passes == ["a", "b", "a"]
    assert cached.encode_documents([]) == []


def test_threads_share_a_cache() -> None:
    cached = CachedEncoder(HashEncoder(), max_bytes=5000)
    expected = HashEncoder().encode_documents([f"text {n}" for n in range(50)], ["sparse"])
    wrong: list[int] = []

    def work() -> None:
        for n in range(50):
            (got,) = cached.encode_documents([f"text {n}"], ["sparse"])
            sparse = expected[n].sparse
            if got.sparse is None or sparse is None or got.sparse.to_dict() != sparse.to_dict():
                wrong.append(n)

    threads = [Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert (cached.model, cached.dim) == ("hash", HashEncoder.dim)
    assert cached.reps == set(REPS)


def test_models_are_the_same_by_their_fingerprint_where_both_have_one() -> None:
    assert same_model("BAAI/bge-m3@12345678", "my-folder@12345678")
    assert not same_model("BAAI/bge-m3@12345678", "BAAI/bge-m3@87654321")
    assert same_model("hash", "hash")
    assert not same_model("hash", "hash@12345678")


def test_what_is_remembered_is_nobody_elses_to_change() -> None:
    cached = CachedEncoder(HashEncoder())
    (output,) = cached.encode_documents(["bear"])
    assert output.dense is not None
    with pytest.raises(ValueError, match="read-only"):
        output.dense[:] = 0


def test_what_the_cache_does_not_compute_for_every_text_is_computed_when_asked_for() -> None:
    counting = Counting()
    cached = CachedEncoder(counting, reps=["dense"])
    for _ in range(2):
        (output,) = cached.encode_documents(["a"], ["sparse"])
        assert output.reps == {"sparse"}
    assert counting.passes == ["a"]
    with pytest.raises(TypeError, match="a list of texts"):
        cached.encode_documents("bear")
