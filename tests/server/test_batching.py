"""One queue for the texts of all requests."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import httpx
import numpy as np
import pytest
from tests.processes import until
from tests.server.conftest import Letters, Serve
from tests.server.test_encode import assert_close
from tests.torch.corpus import texts

from m3kit.remote import RemoteEncoder
from m3kit.server import Limits
from m3kit.server.batching import Batcher
from m3kit.server.errors import RequestError
from m3kit.torch import TorchEncoder


class Model:
    """Doubles numbers, and holds a batch while it is told to."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.free = Event()
        self.free.set()

    def __call__(self, _: Hashable, items: Sequence[int]) -> list[int]:
        self.batches.append(list(items))
        assert self.free.wait(30)
        if 13 in items:
            raise RuntimeError("thirteen")
        return [2 * item for item in items]


async def _held(model: Model, batcher: Batcher[int, int]) -> asyncio.Task[list[int]]:
    """Start a batch that does not end until the model is free."""
    model.free.clear()
    batcher.start()
    first = asyncio.create_task(batcher.compute([0], [1]))
    while not model.batches:
        await asyncio.sleep(0.001)
    return first


async def test_calls_are_joined_up_to_the_budget_and_each_gets_its_results() -> None:
    model = Model()
    batcher = Batcher(model, budget=10, capacity=100)
    first = await _held(model, batcher)
    calls = [asyncio.create_task(batcher.compute([n, n + 1], [2, 2])) for n in range(1, 9, 2)]
    await asyncio.sleep(0)
    model.free.set()
    assert await first == [0]
    assert await asyncio.gather(*calls) == [[2 * n, 2 * n + 2] for n in range(1, 9, 2)]
    assert [len(batch) for batch in model.batches] == [1, 5, 3]
    await batcher.stop()


async def test_the_oldest_is_in_the_next_batch_beside_those_of_its_size_and_key() -> None:
    model = Model()
    batcher = Batcher(model, budget=100, capacity=1000)
    first = await _held(model, batcher)
    sizes = {1: 50, 2: 5, 3: 48, 4: 6, 5: 90}
    calls = [asyncio.create_task(batcher.compute([n], [size], "a")) for n, size in sizes.items()]
    calls.append(asyncio.create_task(batcher.compute([6], [50], "b")))
    await asyncio.sleep(0)
    model.free.set()
    await asyncio.gather(first, *calls)
    assert model.batches == [[0], [1, 3], [4, 2], [5], [6]]
    await batcher.stop()


async def test_a_cancelled_call_is_not_computed() -> None:
    model = Model()
    batcher = Batcher(model, budget=10, capacity=100)
    first = await _held(model, batcher)
    given_up = asyncio.create_task(batcher.compute([1, 2], [1, 1]))
    stays = asyncio.create_task(batcher.compute([3], [1]))
    await asyncio.sleep(0)
    given_up.cancel()
    await asyncio.gather(given_up, return_exceptions=True)
    assert batcher.waiting == 1
    model.free.set()
    await asyncio.gather(first, stays)
    assert model.batches == [[0], [3]]
    await batcher.stop()


async def test_an_item_that_fails_fails_alone() -> None:
    model = Model()
    batcher = Batcher(model, budget=10, capacity=100)
    first = await _held(model, batcher)
    calls = [asyncio.create_task(batcher.compute([n], [1])) for n in (12, 13, 14)]
    await asyncio.sleep(0)
    model.free.set()
    await first
    good, bad, other = await asyncio.gather(*calls, return_exceptions=True)
    assert (good, other) == ([24], [28])
    assert isinstance(bad, RequestError)
    assert (bad.status, bad.message) == (500, "the model failed")
    assert await batcher.compute([15], [1]) == [30]
    await batcher.stop()


async def test_room_is_bounded_and_given_back_once() -> None:
    batcher = Batcher(Model(), budget=10, capacity=10)
    place = batcher.enter(6)
    with pytest.raises(RequestError) as full:
        batcher.enter(5)
    assert (full.value.status, full.value.retry_after) == (503, 1)
    with pytest.raises(RequestError) as never:
        batcher.enter(11)
    assert never.value.status == 413
    with pytest.raises(RequestError):
        batcher.enter(11, alone=True)
    batcher.leave(place)
    batcher.leave(place)
    assert batcher.taken == 0
    with batcher.enter(11, alone=True):
        assert batcher.taken == 11


def test_a_text_has_the_same_vectors_in_any_company(url: str, encoder: TorchEncoder) -> None:
    some = texts(512)[::3]
    alone = [output for text in some for output in encoder.encode_documents([text])]
    remote = RemoteEncoder(url, connections=16)
    with ThreadPoolExecutor(16) as threads:
        answers = threads.map(lambda text: remote.encode_documents([text]), some)
        assert_close([output for answer in answers for output in answer], alone)


def test_requests_that_wait_are_computed_together(serve: Serve, letters: Letters) -> None:
    address = serve(letters)
    letters.hold()
    with ThreadPoolExecutor(8) as threads, httpx.Client(base_url=address, timeout=60) as client:
        first = threads.submit(client.post, "/embed", json={"inputs": "first"})
        assert letters.entered.wait(30)
        rest = [threads.submit(client.post, "/embed", json={"inputs": f"{n}"}) for n in range(6)]
        until(lambda: _metric(client, "m3kit_queue_tokens") == 3 + 6 * 2)
        letters.free.set()
        assert {future.result().status_code for future in [first, *rest]} == {200}
    assert [len(batch) for batch in letters.batches] == [1, 1, 6]  # the first warms up


def test_a_full_queue_is_said_and_takes_requests_again(serve: Serve, letters: Letters) -> None:
    address = serve(letters, limits=Limits(queue_tokens=40))
    letters.hold()
    long = {"inputs": "x" * 90}  # 32 tokens by the estimate
    with ThreadPoolExecutor(2) as threads, httpx.Client(base_url=address, timeout=60) as client:
        first = threads.submit(client.post, "/embed", json=long)
        assert letters.entered.wait(30)
        full = client.post("/embed", json=long)
        assert (full.status_code, full.json()["error_type"]) == (503, "overloaded")
        assert 1 <= int(full.headers["retry-after"]) <= 30
        letters.free.set()
        assert first.result().status_code == 200
        until(lambda: _metric(client, "m3kit_queue_tokens") == 0)
        assert client.post("/embed", json=long).status_code == 200


def test_too_many_requests_at_once_are_refused_unread(serve: Serve, letters: Letters) -> None:
    address = serve(letters, limits=Limits(requests=1))
    letters.hold()
    with ThreadPoolExecutor(2) as threads, httpx.Client(base_url=address, timeout=60) as client:
        first = threads.submit(client.post, "/embed", json={"inputs": "a"})
        assert letters.entered.wait(30)
        refused = client.post("/embed", json={"inputs": "b"})
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert client.get("/health").status_code == 200
        letters.free.set()
        assert first.result().status_code == 200


def test_a_client_that_goes_away_frees_its_place(serve: Serve, letters: Letters) -> None:
    address = serve(letters)
    letters.hold()
    with ThreadPoolExecutor(2) as threads, httpx.Client(base_url=address, timeout=60) as client:
        first = threads.submit(client.post, "/embed", json={"inputs": "first"})
        assert letters.entered.wait(30)
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{address}/embed", json={"inputs": ["gone", "too"]}, timeout=0.2)
        until(lambda: _metric(client, "m3kit_queue_tokens") == 3)
        letters.free.set()
        assert first.result().status_code == 200
    assert letters.batches[1:] == [["first"]]


def test_a_deadline_ends_a_request_and_frees_its_place(serve: Serve, letters: Letters) -> None:
    address = serve(letters, limits=Limits(deadline=0.3))
    letters.hold()
    with httpx.Client(base_url=address, timeout=60) as client:
        late = client.post("/embed", json={"inputs": "late"})
        assert (late.status_code, late.json()["error_type"]) == (504, "timeout")
        assert _metric(client, "m3kit_queue_tokens") == 0
        letters.free.set()
        assert client.post("/embed", json={"inputs": "in time"}).status_code == 200


def test_one_bad_text_fails_its_own_request_alone(serve: Serve, letters: Letters) -> None:
    address = serve(letters)
    letters.hold()
    with ThreadPoolExecutor(4) as threads, httpx.Client(base_url=address, timeout=60) as client:
        first = threads.submit(client.post, "/embed", json={"inputs": "first"})
        assert letters.entered.wait(30)
        rest = [
            threads.submit(client.post, "/embed", json={"inputs": text})
            for text in ("good", "poison", "fine")
        ]
        until(lambda: _metric(client, "m3kit_queue_tokens") == 3 + 3 + 4 + 3)
        letters.free.set()
        assert first.result().status_code == 200
        answers = [future.result() for future in rest]
    assert [answer.status_code for answer in answers] == [200, 500, 200]
    assert "secret" not in answers[1].text


def _metric(client: httpx.Client, name: str) -> float:
    lines = client.get("/metrics").text.splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith(f"{name} ")))


def test_vectors_do_not_change_with_the_budget(serve: Serve, encoder: TorchEncoder) -> None:
    some = texts(512)[::9]
    remote = RemoteEncoder(serve(encoder, limits=Limits(batch_tokens=64)))
    assert_close(remote.encode_documents(some), encoder.encode_documents(some))
    assert np.float32 == remote.encode_documents(["a"], ["dense"])[0].dense.dtype  # type: ignore[union-attr]  # it is there
