from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from milvus_lite.server_manager import server_manager_instance
from pymilvus import MilvusClient
from tests.conftest import quick_folder

from m3kit_milvus.client import KEEPALIVE

_STARTS_S = 60


@pytest.fixture(autouse=True)
def _waits_for_indexes_are_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """`create_index` sleeps for half a second before it asks whether the index is there."""
    quick = SimpleNamespace(**{**vars(time), "sleep": lambda _: time.sleep(0.005)})
    monkeypatch.setattr("pymilvus.client.grpc_handler.time", quick)


@contextmanager
def lite(file: Path) -> Iterator[MilvusClient]:
    """A client of Milvus Lite in this process, and the file let go of afterwards."""
    client = MilvusClient(str(file))
    yield client
    client.close()
    server_manager_instance.release_server(str(file))


@contextmanager
def connected(server: str) -> Iterator[MilvusClient]:
    """A client with a connection of its own, which stays open while tests elsewhere run."""
    client = MilvusClient(f"http://{server}", dedicated=True, grpc_options=dict(KEEPALIVE))
    yield client
    client.close()


@contextmanager
def lite_server(folder: Path, port: int | None = None, script: str | None = None) -> Iterator[str]:
    """`milvus-lite server` on a port, by default a free one; gives its host and port."""
    port = port or _free_port()
    program = ["-m", "milvus_lite"] if script is None else ["-c", script]
    options = ["--data-dir", str(folder / "data"), "--host", "127.0.0.1", "--port", f"{port}"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, *program, "server", *options], stdout=log, stderr=log
        )
    try:
        _wait(port, process)
        yield f"127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:  # pytest itself ignores SIGINT, and it inherits that
            process.kill()
            process.wait()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def answers(port: int) -> bool:
    """Tell whether somebody listens on a port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + _STARTS_S
    while time.monotonic() < until and process.poll() is None:
        if answers(port):
            return
        time.sleep(0.05)
    raise AssertionError(f"milvus-lite server does not start: {process.args!r}")


@pytest.fixture
def file(directory: Path) -> Path:
    """A file where nothing is yet."""
    directory.mkdir(parents=True)
    return directory / "papers.db"


@pytest.fixture
def client(file: Path) -> Iterator[MilvusClient]:
    with lite(file) as client:
        yield client


@pytest.fixture(scope="module")
def shared_client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MilvusClient]:
    with quick_folder(tmp_path_factory.mktemp("lite")) as folder, lite(folder / "a.db") as client:
        yield client


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with quick_folder(tmp_path_factory.mktemp("server")) as folder, lite_server(folder) as address:
        yield address


@pytest.fixture
def python() -> Callable[..., str]:
    """Run a script in a process of its own, and return what it prints."""

    def run(script: str, *args: object) -> str:
        command = [sys.executable, "-c", script, *map(str, args)]
        return subprocess.run(command, check=True, text=True, capture_output=True).stdout.strip()

    return run


def printed(capfd: pytest.CaptureFixture[str]) -> list[str]:
    """Return the lines on standard error, but gRPC's about connections that other tests left."""
    return [line for line in capfd.readouterr().err.splitlines() if "too_many_pings" not in line]
