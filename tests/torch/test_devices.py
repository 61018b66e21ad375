"""Several devices, memory that runs out, and work that overlaps: all of it on the CPU."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.shipped import LONGEST
from tests.torch.corpus import texts
from tests.torch.reference import vectors

from m3kit._overlap import overlapped
from m3kit.backend.pipeline import Kind, Model, Pipeline
from m3kit.torch import TorchEncoder
from m3kit.torch.out_of_memory import Halving
from m3kit.torch.shards import Shards, balanced
from m3kit.vectors import REPS, Ints, M3Output, Rep

_DOCUMENT = Kind("document_max_length", LONGEST, "")


def _assert_same(ours: Sequence[M3Output], theirs: Sequence[M3Output]) -> None:
    for one, other in zip(ours, theirs, strict=True):
        (dense, sparse, colbert), (dense_, sparse_, colbert_) = vectors(one), vectors(other)
        np.testing.assert_allclose(dense, dense_, rtol=0, atol=1e-6)
        assert sparse.ids.tolist() == sparse_.ids.tolist()
        np.testing.assert_allclose(colbert, colbert_, rtol=0, atol=1e-6)


@dataclass
class Small:
    """A model whose memory holds so many tokens, and which keeps what it was asked."""

    model: Model
    room: int
    batches: list[int] = field(default_factory=list)

    @property
    def width(self) -> int:
        return self.model.width

    @property
    def max_length(self) -> int:
        return self.model.max_length

    @property
    def reps(self) -> frozenset[Rep]:
        return self.model.reps

    def __call__(self, texts: Sequence[Ints], reps: Collection[Rep], /) -> list[M3Output]:
        tokens = sum(map(len, texts))
        if tokens > self.room:
            raise torch.OutOfMemoryError(f"tried to allocate {tokens} tokens")
        self.batches.append(tokens)
        return self.model(texts, reps)


@pytest.fixture
def model(tiny: TorchEncoder) -> Model:
    return tiny._pipeline.model


def _ids(tiny: TorchEncoder, some: Sequence[str]) -> list[Ints]:
    return [tokens.ids for tokens in tiny._pipeline.tokenizer(some, 512)]


class TestMemory:
    def test_a_batch_that_does_not_fit_is_halved_until_it_does(
        self, tiny: TorchEncoder, model: Model
    ) -> None:
        ids = _ids(tiny, texts(512)[::4])
        room = max(map(len, ids)) + 40
        small = Small(model, room)
        _assert_same(Halving(small, "cuda:0")(ids, REPS), model(ids, REPS))
        assert sum(small.batches) == sum(map(len, ids))
        assert len(small.batches) > 2

    def test_a_text_that_does_not_fit_alone_is_an_error_with_a_remedy(
        self, tiny: TorchEncoder, model: Model
    ) -> None:
        ids = _ids(tiny, ["a table", "a much longer text about tables and their borders"])
        said = r"a text of \d+ tokens does not fit into the memory of cuda:3; .*document_max_length"
        with pytest.raises(torch.OutOfMemoryError, match=said) as caught:
            Halving(Small(model, 5), "cuda:3")(ids, REPS)
        assert "tried to allocate" in str(caught.value.__cause__)


class TestShards:
    @given(st.lists(st.integers(1, 500), max_size=60), st.integers(1, 5))
    def test_all_devices_get_about_as_many_tokens(self, lengths: list[int], count: int) -> None:
        shards = balanced(lengths, count)
        assert sorted(number for shard in shards for number in shard) == [*range(len(lengths))]
        loads = [sum(lengths[number] for number in shard) for shard in shards]
        assert max(loads) - min(loads) <= max(lengths, default=0)

    def test_two_devices_equal_one(self, tiny: TorchEncoder) -> None:
        two = TorchEncoder.from_pretrained("tiny", devices=["cpu", "cpu"])
        some = texts(512)[::3]
        _assert_same(two.encode_documents(some), tiny.encode_documents(some))
        assert (two.model, two.dim, two.reps) == (tiny.model, tiny.dim, tiny.reps)
        assert two.encode_documents([]) == []

    def test_one_text_needs_one_of_them(self, tiny: TorchEncoder, model: Model) -> None:
        idle = Small(model, 0)
        ids = _ids(tiny, ["a table"])
        _assert_same(Shards([model, idle])(ids, REPS), model(ids, REPS))

    def test_an_error_of_one_reaches_the_caller(self, tiny: TorchEncoder, model: Model) -> None:
        ids = _ids(tiny, texts(512)[:10])
        with pytest.raises(torch.OutOfMemoryError, match="tried to allocate"):
            Shards([model, Small(model, 0)])(ids, REPS)

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"device": "cpu", "devices": ["cpu"]}, "one device, or several devices, not both"),
            ({"devices": "cuda"}, "devices is a list of names"),
            ({"devices": []}, "devices is a list of names"),
            ({"devices": ["cpu", "cuda"], "precision": "int8"}, "int8 is for CPUs"),
        ],
    )
    def test_what_is_refused(self, options: dict[str, Any], said: str) -> None:
        with pytest.raises(ValueError, match=said):
            TorchEncoder.from_pretrained("tiny", **options)


class TestOverlap:
    @pytest.mark.parametrize("lanes", [1, 2, 3])
    def test_batches_in_flight_change_nothing(self, tiny: TorchEncoder, lanes: int) -> None:
        own = tiny._pipeline
        pipeline = Pipeline(own.model, own.tokenizer, 128, progress=False, lanes=lanes)
        some = texts(512)[::2]
        _assert_same(
            list(pipeline(iter(some), REPS, _DOCUMENT, total=None)), tiny.encode_documents(some)
        )

    def test_a_models_error_comes_out_of_the_stream(self, tiny: TorchEncoder) -> None:
        own = tiny._pipeline
        small = Small(own.model, 100)
        pipeline = Pipeline(small, own.tokenizer, 64, progress=False, lanes=2)
        with pytest.raises(torch.OutOfMemoryError, match="tried to allocate"):
            list(pipeline(texts(512), REPS, _DOCUMENT, total=None))

    def test_it_reads_in_the_callers_thread_and_no_further_than_needed(self) -> None:
        readers, workers = set(), set()
        read = 0

        def items() -> Iterator[int]:
            nonlocal read
            while True:
                readers.add(threading.get_ident())
                read += 1
                yield read

        def double(number: int) -> int:
            workers.add(threading.get_ident())
            return 2 * number

        stream = overlapped(double, items(), threads=2, ahead=4)
        assert [next(stream) for _ in range(50)] == [2 * number for number in range(1, 51)]
        assert read == 54
        assert readers == {threading.get_ident()}
        assert not workers & readers

    def test_an_error_stands_in_the_place_of_its_result(self) -> None:
        stream = overlapped(lambda number: 1 // number, [1, 0, 1], threads=1, ahead=2)
        assert next(stream) == 1
        with pytest.raises(ZeroDivisionError):
            next(stream)
        assert list(stream) == []
