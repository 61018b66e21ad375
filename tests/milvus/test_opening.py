"""Addresses, and what is checked when an index is opened."""

from __future__ import annotations

import logging
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from pymilvus import MilvusClient, MilvusException
from tests.milvus.conftest import lite, printed

from m3kit.index import (
    IndexLockedError,
    IndexNotFoundError,
    ModelMismatchError,
    RepresentationError,
)
from m3kit.testing import DIM, DOCUMENTS, records
from m3kit.vectors import REPS
from m3kit_milvus import MilvusIndex, open_server
from m3kit_milvus.workarounds import silenced

MODEL = "BAAI/bge-m3@5617a9f6"
TOKEN = "root:s3cret"  # noqa: S105  # the one that must not be seen

HOLD = """
import sys
from m3kit_milvus import open_server
index = open_server(sys.argv[1] + "/papers", dim=32, reps=["dense"], model=None)
print("held", flush=True)
sys.stdin.read()
index.close()
"""


def test_an_address_is_a_collection_in_a_file(file: Path) -> None:
    address = f"{file}/papers"
    with open_server(address, dim=DIM, reps=REPS, model=MODEL) as index:
        assert isinstance(index, MilvusIndex)
        assert index.reps == {"dense", "sparse"}
        index.upsert(records(DOCUMENTS))
    with open_server(address, dim=None, reps=REPS, model=None) as index:
        assert index.count() == len(DOCUMENTS)
        assert index.model == MODEL
    with pytest.raises(ModelMismatchError, match=f"made by {MODEL}, and other@1"):
        open_server(address, dim=DIM, reps=REPS, model="other@1")
    with pytest.raises(IndexNotFoundError, match="the collection 'others'"):
        open_server(f"{file}/others", dim=None, reps=REPS, model=None)
    with lite(file) as client:  # nobody holds the file
        assert client.list_collections() == ["papers"]


def test_a_relative_file_is_made_with_its_folder(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory.mkdir()
    monkeypatch.chdir(directory)
    with open_server("new/papers.db/a", dim=DIM, reps=REPS, model=None) as index:
        assert index.count() == 0
    assert (directory / "new" / "papers.db").is_dir()


def test_where_there_is_nothing_nothing_is_made(file: Path) -> None:
    with pytest.raises(IndexNotFoundError, match=r"papers\.db; give encoder="):
        open_server(f"{file}/papers", dim=None, reps=REPS, model=None)
    assert not file.exists()


def test_colbert_alone_is_refused(file: Path) -> None:
    with pytest.raises(RepresentationError, match="WithColbert"):
        open_server(f"{file}/papers", dim=DIM, reps=["colbert"], model=None)


def test_two_collections_of_one_file_are_open_at_once(file: Path) -> None:
    first = open_server(f"{file}/a", dim=DIM, reps=REPS, model=None)
    with open_server(f"{file}/b", dim=DIM, reps=REPS, model=None) as second:
        second.upsert(records(DOCUMENTS))
    first.upsert(records(DOCUMENTS[:1]))
    assert first.count() == 1
    first.close()
    first.close()


def test_a_file_that_the_caller_has_open_stays_open(file: Path) -> None:
    with lite(file) as client:
        with open_server(f"{file}/a", dim=DIM, reps=REPS, model=None):
            pass
        assert client.list_collections() == ["a"]


def test_a_file_that_another_process_holds_is_refused_in_silence(
    file: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    command = [sys.executable, "-c", HOLD, str(file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(IndexLockedError, match="another process holds it"):
            open_server(f"{file}/papers", dim=DIM, reps=REPS, model=None)
        other.communicate()
    assert printed(capfd) == []
    with open_server(f"{file}/papers", dim=None, reps=REPS, model=None) as index:
        assert index.reps == {"dense"}


def test_an_address_is_a_collection_on_a_server(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MILVUS_TOKEN", TOKEN)
    with open_server(f"{server}/by_address", dim=DIM, reps=REPS, model=MODEL) as index:
        index.upsert(records(DOCUMENTS))
        assert TOKEN not in repr(index)
    with open_server(
        f"{server}/by_address?database=default", dim=None, reps=(), model=None
    ) as opened:
        assert opened.count() == len(DOCUMENTS)
    with pytest.raises(IndexNotFoundError, match="the collection 'missing'"):
        open_server(f"{server}/missing", dim=None, reps=REPS, model=None)


def test_the_token_is_not_seen_where_nobody_answers(
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("MILVUS_TOKEN", TOKEN)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(ConnectionError, match=f"at http://{address} .*start it") as caught:
        open_server(f"{address}/papers", dim=DIM, reps=REPS, model=None)
    seen = f"{caught.value!r} {caught.value.__cause__!r} {caplog.text} {capfd.readouterr()}"
    assert "s3cret" not in seen


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("localhost:19530", "is not an address of the form host:19530/collection or path/to"),
        ("localhost:19530/a/b", "of the form"),
        ("papers.db", "of the form"),
        ("papers.db/", "of the form"),
        ("/a", "of the form"),
        ("localhost:99999/a", "no valid port; give a number from 1 to 65535"),
        ("localhost:x/a", "no valid port"),
        ("localhost:19530/a?token=s3cret", "holds no secret such as 'token'.*MILVUS_TOKEN"),
        ("localhost:19530/a?other=x", "has no option 'other'; valid are https, database"),
        ("localhost:19530/a?https=1", "https of .* is true or false"),
        ("root:s3cret@localhost:19530/a", "holds no secret; set the environment variable MILVUS"),
    ],
)
def test_another_address_is_refused(address: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        open_server(address, dim=DIM, reps=REPS, model=None)
    assert "s3cret" not in str(caught.value)


def test_silence_ends_where_the_failing_call_ends(
    client: MilvusClient, capfd: pytest.CaptureFixture[str]
) -> None:
    level = logging.getLogger("pymilvus").getEffectiveLevel()
    with silenced(), silenced(), pytest.raises(MilvusException):
        client.describe_collection("missing")
    assert printed(capfd) == []
    assert logging.getLogger("pymilvus").getEffectiveLevel() == level


def test_nothing_runs_on_after_close(python: Callable[..., str], file: Path) -> None:
    script = """
import sys, threading
from m3kit_milvus import open_server
open_server(sys.argv[1] + "/a", dim=8, reps=["dense"], model=None).close()
from milvus_lite.server_manager import server_manager_instance
print(len(server_manager_instance._servers))
"""
    assert python(script, file) == "0"
