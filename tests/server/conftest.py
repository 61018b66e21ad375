"""Real servers on loopback, at ports that the system chooses."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import httpx
import numpy as np
import pytest
import uvicorn

from m3kit import Document, MemoryIndex, Retriever
from m3kit.server import create_app
from m3kit.server.logs import LOGGER
from m3kit.torch import TorchEncoder
from m3kit.vectors import M3Output, Rep

Serve: TypeAlias = Callable[..., str]

DOCUMENTS = {
    "dialog.en": "Open a dialog with Python: a macro shows a window with buttons.",
    "dialog.de": "Einen Dialog mit Python öffnen: ein Makro zeigt ein Fenster.",
    "rows.en": "Insert rows and columns into a table of the text document.",
    "rows.de": "Zeilen und Spalten in eine Tabelle des Dokuments einfügen.",
    "rows.zh": "在文本文档的表格中插入行和列。",
    "print.en": "Print several pages on one sheet of paper.",
    "colour.en": "Change the colour of the background of a cell.",
    "colour.ru": "Изменение цвета фона ячейки.",
}


class Letters:
    """
    An encoder without tokens to see, as those of other libraries are: dense alone.

    While it is held, a batch waits inside of it.
    """

    model = "letters"
    dim = 2
    reps: frozenset[Rep] = frozenset({"dense"})

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.free = threading.Event()
        self.free.set()
        self.entered = threading.Event()

    def hold(self) -> None:
        self.free.clear()
        self.entered.clear()

    def encode_queries(self, texts: Sequence[str], _reps: Any = None) -> list[M3Output]:
        return self._encode(texts, 0.6)

    def encode_documents(self, texts: Sequence[str], _reps: Any = None) -> list[M3Output]:
        return self._encode(texts, 0.8)

    def _encode(self, texts: Sequence[str], first: float) -> list[M3Output]:
        self.batches.append(list(texts))
        self.entered.set()
        assert self.free.wait(30)
        if "poison" in texts:
            raise RuntimeError("secret")
        dense = np.array([first, (1 - first**2) ** 0.5], np.float32)
        return [M3Output(dense=dense)] * len(texts)


@contextmanager
def serving(app: Any) -> Iterator[str]:
    """Run an ASGI application in a thread, and stop it as SIGTERM does."""
    config = uvicorn.Config(
        app, port=0, log_config=None, lifespan="on", access_log=False, ws="none"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.005)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="session")
def encoder() -> TorchEncoder:
    return TorchEncoder.from_pretrained("tiny")


@pytest.fixture(scope="session")
def index(encoder: TorchEncoder) -> MemoryIndex:
    index = MemoryIndex(encoder=encoder)
    documents = [
        Document(id_, text, {"lang": id_[-2:], "topic": id_[:-3]})
        for id_, text in DOCUMENTS.items()
    ]
    Retriever(encoder, index).add(documents)
    return index


@pytest.fixture(scope="session")
def url(encoder: TorchEncoder, index: MemoryIndex) -> Iterator[str]:
    """A server of the tiny model with an index, for all tests."""
    with serving(create_app(encoder, index=index)) as address:
        yield address


@pytest.fixture
def letters() -> Iterator[Letters]:
    encoder = Letters()
    yield encoder
    encoder.free.set()


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serve an encoder with options of its own."""
    running = []

    def start(encoder: Any, **options: Any) -> str:
        server = serving(create_app(encoder, **options))
        running.append(server)
        return server.__enter__()

    yield start
    for server in running:
        server.__exit__(None, None, None)


@pytest.fixture(scope="session")
def client(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, timeout=30) as client:
        yield client


@pytest.fixture(autouse=True)
def _quiet() -> None:
    LOGGER.setLevel("INFO")
