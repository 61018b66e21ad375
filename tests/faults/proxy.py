"""A proxy for TCP that cuts, truncates and delays what clients send to a server."""

from __future__ import annotations

import socket
import struct
from contextlib import suppress
from threading import Lock, Thread
from time import sleep
from typing import Literal, TypeAlias

Fault: TypeAlias = Literal["cut", "reset", "truncate", "delay"]
FAULTS: tuple[Fault, ...] = ("cut", "reset", "truncate", "delay")

_DELAY_S = 0.15
_DELAYS = 20


class Proxy:
    """
    Forwards a port to another one, with one fault.

    Args:
        port: Where it listens.
        target: Where the server listens.
        fault: What goes wrong, once; delays are a few.
        after: After how many bytes from clients to the server.
    """

    def __init__(self, port: int, target: int, fault: Fault, after: int) -> None:
        self._target = target
        self._fault = fault
        self._left: int | None = after
        self._delays = _DELAYS
        self._lock = Lock()
        self._listener = socket.create_server(("127.0.0.1", port))

    def serve(self) -> None:
        """Forward connections, for ever."""
        while True:
            client, _ = self._listener.accept()
            server = socket.create_connection(("127.0.0.1", self._target))
            Thread(target=self._forward, args=(client, server), daemon=True).start()
            Thread(target=_copy, args=(server, client), daemon=True).start()

    def _forward(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(2**14):
                if not self._is_due(len(data)):
                    server.sendall(data)
                elif self._fault == "delay":
                    sleep(_DELAY_S)
                    server.sendall(data)
                else:
                    self._break(client, server, data)
                    return
        _close(client, server)

    def _is_due(self, size: int) -> bool:
        with self._lock:
            if self._left is None:
                return False
            self._left -= size
            if self._left > 0:
                return False
            self._delays -= 1
            if self._fault != "delay" or not self._delays:
                self._left = None
            return True

    def _break(self, client: socket.socket, server: socket.socket, data: bytes) -> None:
        if self._fault == "truncate":
            server.sendall(data[: len(data) // 2])
        if self._fault == "reset":
            for end in (client, server):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        _close(client, server)


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(2**16):
            target.sendall(data)
    _close(source, target)


def _close(*ends: socket.socket) -> None:
    for end in ends:
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()
