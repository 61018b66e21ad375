"""Running the server until it is stopped."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from socket import socket

import uvicorn

from m3kit.encoder import Encoder
from m3kit.index import HybridIndex
from m3kit.server.app import LOOPBACK, create_app
from m3kit.server.gate import Gate
from m3kit.server.limits import Limits
from m3kit.server.logs import log, to_stderr
from m3kit.server.playground import Playground
from m3kit.server.service import PairReranker

_SWITCH_SECONDS = 0.001
"""How long the event loop may hold the interpreter while the model waits for it."""

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class _Server(uvicorn.Server):
    """uvicorn's server, which returns when it was told to stop, and does not die of the signal."""

    def __init__(self, config: uvicorn.Config, on_start: Callable[[str], None]) -> None:
        super().__init__(config)
        self._on_start = on_start

    async def startup(self, sockets: list[socket] | None = None) -> None:
        """Open the port, and tell the URL."""
        await super().startup(sockets)
        if self.started:
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            self._on_start(f"http://{f'[{host}]' if ':' in host else host}:{port}")

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop at SIGINT and SIGTERM, and at the second one at once."""
        before = {number: signal.signal(number, self.handle_exit) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def serve(
    encoder: Encoder,
    *,
    reranker: PairReranker | None = None,
    index: HybridIndex | None = None,
    host: str = "127.0.0.1",
    port: int = 8080,
    api_key: str | None = None,
    hosts: Collection[str] = (),
    limits: Limits = Limits(),  # noqa: B008  # frozen, so one default serves all
    playground: Playground | None = None,
    log_level: int = logging.INFO,
    on_start: Callable[[str], None] = lambda _: None,
) -> None:
    """
    Serve a model until SIGINT or SIGTERM; requests that were accepted are answered first.

    Args:
        encoder: See `create_app`, as for what is not named here.
        reranker: See `create_app`.
        index: See `create_app`.
        host: The address to listen at.
        port: Its port; 0 lets the system choose, and the log says which.
        api_key: See `create_app`.
        hosts: Further names of the server; on loopback, others than its own are refused.
        limits: See `create_app`.
        playground: See `create_app`.
        log_level: What is less is not logged.
        on_start: Called with the server's URL once it takes requests.
    """
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # threads for a few texts only cost
    sys.setswitchinterval(_SWITCH_SECONDS)
    to_stderr(log_level)
    names = check_exposure(host, hosts, api_key)
    app = create_app(
        encoder,
        reranker=reranker,
        index=index,
        limits=limits,
        api_key=api_key,
        hosts=names,
        playground=playground,
    )
    run_app(app, host=host, port=port, limits=limits, on_start=on_start)


def check_exposure(host: str, hosts: Collection[str], api_key: str | None) -> tuple[str, ...]:
    """
    Return the names under which a server may be called, and warn if anyone may use it.

    Args:
        host: The address that it listens at.
        hosts: Further names of the server.
        api_key: What clients have to show, if anything.

    Returns:
        Nothing for every name.
    """
    local = host in LOOPBACK
    if not local and api_key is None:
        log("anyone who reaches this address may use the server; set a key", logging.WARNING)
    return (*LOOPBACK, *hosts) if local or hosts else ()


def run_app(
    app: Gate, *, host: str, port: int, limits: Limits, on_start: Callable[[str], None]
) -> None:
    """
    Run an application until SIGINT or SIGTERM; requests that were accepted are answered first.

    Args:
        app: The application.
        host: The address to listen at.
        port: Its port; 0 for any that is free.
        limits: Whose deadline holds for the requests that are left at the end.
        on_start: Called with the server's URL once it takes requests.
    """
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        log_config=None,
        access_log=False,
        proxy_headers=False,
        ws="none",
        timeout_keep_alive=75,  # longer than clients keep a connection that they do not use
        server_header=False,
        date_header=False,
        lifespan="on",
        timeout_graceful_shutdown=int(limits.deadline) + 1,
    )
    _Server(config, on_start).run()
