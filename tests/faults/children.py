"""Forked processes: their result by a pipe, and their end by a signal."""

from __future__ import annotations

import json
import os
import select
import signal
import traceback
from collections.abc import Callable
from time import monotonic, sleep
from typing import Any

from m3kit.index import M3Error

_PATIENCE = 120
"""How many seconds a child may take, in which this process runs."""

_POLL_S = 0.002
_STANDSTILL_S = 10


class Child:
    """
    A process forked from this one, which has imported everything already.

    Args:
        call: What it does; its result must be JSON.
    """

    def __init__(self, call: Callable[[], object]) -> None:
        reading, writing = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            os.close(reading)
            _answer(writing, call)
            os._exit(0)
        os.close(writing)
        self._pipe = reading
        self._status: int | None = None
        self.stood_still = False

    def polls(self, most: int | None = None) -> int:
        """
        Wait for its end, or for so many polls; return how many there were.

        They measure time, but not that in which both processes were stopped.
        """
        polls = 0
        while self.is_alive() and polls != most:
            sleep(_POLL_S)
            polls += 1
        return polls

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal, if it lives."""
        if self.is_alive():
            os.kill(self.pid, number)

    def is_alive(self) -> bool:
        """Tell whether it has not ended."""
        if self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._status = status
        return self._status is None

    def result(self, patience: int = _PATIENCE) -> dict[str, Any]:
        """
        Wait for its end; return `{"result": …}`, `{"error": …, "line": …}` or `{"killed": …}`.

        One that hangs is killed, which is an error. Both processes may be stopped meanwhile, and
        then `stood_still` is set: time counts by the second in which this one runs.
        """
        if not any(self._answers_within_a_second() for _ in range(patience)):
            self.kill()
            self._wait()
            return {"error": "Hang", "line": f"no end within {patience} s", "known": False}
        with os.fdopen(self._pipe, "rb") as pipe:
            answer = pipe.read()
        self._wait()
        if answer:
            parsed: dict[str, Any] = json.loads(answer)
            return parsed
        return {"killed": os.waitstatus_to_exitcode(self._status or 0)}

    def _answers_within_a_second(self) -> bool:
        start = monotonic()
        answers = bool(select.select([self._pipe], [], [], 1)[0])
        self.stood_still |= monotonic() - start > _STANDSTILL_S
        return answers

    def _wait(self) -> None:
        if self._status is None:
            _, self._status = os.waitpid(self.pid, 0)


def _answer(writing: int, call: Callable[[], object]) -> None:
    try:
        answer: dict[str, object] = {"result": call()}
    except BaseException as error:  # noqa: BLE001  # the process must not return
        answer = {
            "error": type(error).__name__,
            "line": str(error),
            "known": isinstance(error, M3Error | OSError) and "\n" not in str(error),
            "trace": traceback.format_exc(),
        }
    with os.fdopen(writing, "wb") as pipe:
        pipe.write(json.dumps(answer).encode())
