"""Other processes and threads: what they make of what they are given, and waiting for them."""

from __future__ import annotations

import os
import pickle
import signal
import time
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")

_PATIENCE_S = 60


def in_fork(call: Callable[[], object]) -> str:
    """
    Call something in a forked process; return its result as text, or "Error: message".

    Raises:
        TimeoutError: If the process hangs.
    """
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            result = str(call())
        except BaseException as error:  # noqa: BLE001  # the process must not return
            result = f"{type(error).__name__}: {error}"
        os.write(writing, result.encode()[:50_000])
        os._exit(0)
    os.close(writing)
    give_up = time.monotonic() + _PATIENCE_S
    while not os.waitpid(pid, os.WNOHANG)[0]:
        if time.monotonic() > give_up:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise TimeoutError("the forked process hangs")
        time.sleep(0.01)
    with os.fdopen(reading, "rb") as pipe:
        return pipe.read().decode()


def pickled(value: _T) -> _T:
    """Return what another process gets of a value."""
    copy: _T = pickle.loads(pickle.dumps(value))  # noqa: S301  # just made
    return copy


def until(condition: Callable[[], bool]) -> None:
    """Wait until something is so."""
    give_up = time.monotonic() + _PATIENCE_S
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.005)
