"""`MilvusIndex` over TCP, as it calls servers; and servers that are gone, or were idle."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Thread
from time import sleep
from uuid import uuid4

import pytest
from pymilvus import DataType, MilvusClient
from tests.milvus.conftest import answers, connected, lite_server, printed
from tests.milvus.test_terms import taken_for_a_server

from m3kit import Document, open_index
from m3kit.filters import All
from m3kit.index import HybridIndex, IndexNotFoundError, Search
from m3kit.testing import DIM, DOCUMENTS, NASTY_IDS, IndexConformance, query, records
from m3kit_milvus import MilvusIndex, open_server

IDLE_S = 125
"""After two pings too many, 10 s apart, and 100 s, `milvus-lite server` closes a connection."""


@pytest.fixture
def client(server: str) -> Iterator[MilvusClient]:
    with connected(server) as client:
        yield client


@pytest.fixture
def as_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take Milvus Lite for a server: filters on JSON alone, no lock, the query iterator."""
    taken_for_a_server(monkeypatch)


@pytest.mark.slow
class TestTcp(IndexConformance):
    """`milvus-lite server`, which is Milvus Lite behind another transport."""

    @pytest.fixture
    def index(self, client: MilvusClient) -> HybridIndex:
        index = MilvusIndex(client, "by_terms", dim=DIM)
        index.delete_where(All())
        return index


class TestServer(IndexConformance):
    """The same, called as servers are."""

    @pytest.fixture
    def index(self, client: MilvusClient, as_server: None) -> HybridIndex:  # noqa: ARG002
        index = MilvusIndex(client, "papers", dim=DIM)
        index.delete_where(All())
        return index


@pytest.mark.usefixtures("as_server")
def test_a_server_needs_no_terms(client: MilvusClient) -> None:
    name = f"c{uuid4().hex}"
    MilvusIndex(client, name, dim=DIM)
    types = {field["name"]: field["type"] for field in client.describe_collection(name)["fields"]}
    assert types["metadata"] == DataType.JSON
    assert "_terms" not in types


@pytest.mark.usefixtures("as_server")
@pytest.mark.parametrize("size", [1, 3])
def test_pages_go_on_behind_ids_with_quotation_marks(
    client: MilvusClient, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr("m3kit_milvus.client._KEYS_PAGE", size)
    index = MilvusIndex(client, f"c{uuid4().hex}", dim=DIM)
    index.upsert(records([Document(id_, "bear") for id_ in NASTY_IDS]))
    assert sorted(record.document.id for record in index.scan()) == sorted(NASTY_IDS)


@pytest.mark.usefixtures("as_server")
def test_a_server_tells_which_fields_have_no_index(client: MilvusClient) -> None:
    index = MilvusIndex(client, f"c{uuid4().hex}", dim=DIM)
    assert index.unindexed_fields() == []
    index.upsert(records(DOCUMENTS))
    assert sorted(index.unindexed_fields()) == sorted(DOCUMENTS[0].metadata)


def test_many_workers_make_one_collection(client: MilvusClient) -> None:
    name = f"c{uuid4().hex}"
    with ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(MilvusIndex, client, name, dim=DIM) for _ in range(8)]
        indexes = [future.result() for future in futures]
    indexes[0].upsert(records(DOCUMENTS))
    assert indexes[7].count() == len(DOCUMENTS)


@pytest.mark.usefixtures("as_server")
def test_many_workers_make_one_collection_without_a_lock(client: MilvusClient) -> None:
    test_many_workers_make_one_collection(client)


def test_the_client_stays_the_callers(client: MilvusClient) -> None:
    name = f"c{uuid4().hex}"
    index = MilvusIndex(client, name, dim=DIM)
    assert not hasattr(index, "close")
    del index
    assert client.has_collection(name)


def test_a_dead_server_is_a_connection_error_of_one_line(
    tmp_path_factory: pytest.TempPathFactory,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    with lite_server(tmp_path_factory.mktemp("dead")) as server:
        address = f"{server}/papers"
        opened = open_server(address, dim=DIM, reps=["dense"], model=None)
        open_server(address, dim=DIM, reps=["dense"], model=None).close()
    with pytest.raises(ConnectionError, match="cannot reach Milvus; check that") as caught:
        opened.count()
    with pytest.raises(ConnectionError, match=f"cannot connect to Milvus at http://{server}"):
        open_server(address, dim=DIM, reps=["dense"], model=None)
    opened.close()
    assert "\n" not in f"{caught.value}"
    assert printed(capfd) == []
    assert not caplog.records


KILLED_LATE_IN_THE_FOURTH_FLUSH = """
import os, signal, sys
from milvus_lite.cmdline import main
from milvus_lite.storage.wal import WAL
flushes = []
def close_and_delete(wal, close=WAL.close_and_delete):
    flushes.append(wal)
    if len(flushes) == 4:
        os.kill(os.getpid(), signal.SIGKILL)
    close(wal)
WAL.close_and_delete = close_and_delete
main(sys.argv[1:])
"""


def test_a_server_that_was_restarted_is_reached_again_and_has_everything_once(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("restarted")
    with lite_server(folder, script=KILLED_LATE_IN_THE_FOURTH_FLUSH) as server:
        index = open_server(f"{server}/papers", dim=DIM, reps=["dense"], model=None)
        for n in range(4):
            index.upsert(records(DOCUMENTS[n::4]))
            if n < 3:
                index.flush()
        flushing = Thread(target=index.flush)
        flushing.start()
        port = int(server.rpartition(":")[2])
        while answers(port):
            sleep(0.05)
    with lite_server(folder, port=port), index:
        flushing.join(60)
        assert index.count() == len(DOCUMENTS)
        hits = index.search(Search(query=query("dog").only("dense"), k=100))
        assert sorted(hit.document.id for hit in hits) == sorted(d.id for d in DOCUMENTS)


def test_a_server_whose_files_cannot_be_loaded_is_refused_by_a_line_that_says_what_to_do(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    with open_index(f"milvus://{folder}/data.db/papers", dim=DIM, model=None) as index:
        index.upsert(records(DOCUMENTS))
    (folder / "data.db").rename(folder / "data")
    for file in folder.glob("data/collections/papers/partitions/*/indexes/*idx"):
        file.write_bytes(b"")
    with (
        lite_server(folder) as server,
        pytest.raises(IndexNotFoundError, match=r"cannot load .* remove the files partitions/"),
    ):
        open_server(f"{server}/papers", dim=DIM, reps=["dense", "sparse"], model=None)


BY_ADDRESS = """
import sys, time
from m3kit_milvus import open_server
address = f"{sys.argv[1]}/idle"
with open_server(address, dim=8, reps=["dense"], model=None) as index:
    time.sleep(float(sys.argv[2]))
    print(index.count())
    with open_server(address, dim=8, reps=["dense"], model=None) as other:
        print(other.count())
"""
BY_CLIENT = """
import sys, time
from pymilvus import MilvusClient
from m3kit_milvus import MilvusIndex, open_server
client = MilvusClient(f"http://{sys.argv[1]}")
index = MilvusIndex(client, "idle", dim=8)
time.sleep(float(sys.argv[2]))
print(open_server(f"{sys.argv[1]}/idle", dim=8, reps=["dense"], model=None).count())
print(MilvusIndex(client, "idle", dim=8).count() + index.count())
"""


@pytest.mark.slow
@pytest.mark.parametrize(("script", "is_silent"), [(BY_ADDRESS, True), (BY_CLIENT, False)])
def test_an_idle_connection_is_made_again(
    tmp_path_factory: pytest.TempPathFactory,
    script: str,
    is_silent: bool,  # noqa: FBT001
) -> None:
    """gRPC itself prints two lines of a client that pings; m3kit's own connections do not."""
    with lite_server(tmp_path_factory.mktemp("idle")) as server:
        done = subprocess.run(
            [sys.executable, "-c", script, server, f"{IDLE_S}"],
            check=False,
            text=True,
            capture_output=True,
        )
    assert done.stdout == "0\n0\n", done.stderr
    assert "Traceback" not in done.stderr
    assert not (is_silent and done.stderr)
