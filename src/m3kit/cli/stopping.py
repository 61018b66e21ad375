"""Signals while a command prepares its work, and the end of a process with threads at work."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from m3kit_command import exit_at_once

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_THREADS = "m3kit"


@contextmanager
def stopping_at_once() -> Iterator[None]:
    """Have Ctrl-C and SIGTERM end the process with one line, while there is nothing to flush."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, exit_at_once) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


def restore_signals() -> None:
    """Handle signals as Python does, where they still end the process at once."""
    for number, handler in (
        (signal.SIGINT, signal.default_int_handler),
        (signal.SIGTERM, signal.SIG_DFL),
    ):
        if signal.getsignal(number) is exit_at_once:
            signal.signal(number, handler)


def leave(code: int) -> None:
    """End the process where a thread still encodes or reads for a run that has failed."""
    names = [thread.name for thread in threading.enumerate()]
    if any(name.startswith(_THREADS) for name in names):
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):  # it may be closed
                stream.flush()
        os._exit(code)
