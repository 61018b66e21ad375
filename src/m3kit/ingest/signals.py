"""Ctrl-C and SIGTERM: a run that is stopped ends between two calls to its index, not within one."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(KeyboardInterrupt):  # as the interruption that it is
    """
    A run was stopped by a signal.

    Args:
        signal_number: The signal's number.
    """

    def __init__(self, signal_number: int) -> None:
        self.signal_number = signal_number
        super().__init__(f"stopped by {signal.Signals(signal_number).name}")


@dataclass(slots=True)
class _State:
    shields: int = 0
    received: int | None = None

    def handle(self, number: int, _: FrameType | None) -> None:
        """Raise at once, or at the end of the call under way; a second signal ends that, too."""
        if self.shields and self.received is None:
            self.received = number
            return
        raise Stopped(number)


_state: _State | None = None
"""Of the thread that handles signals, while it is in `stop_signals`."""


@contextmanager
def stop_signals() -> Iterator[None]:
    """
    Have Ctrl-C and SIGTERM raise `Stopped`, and not within `shielded`.

    Does nothing in threads other than the main one, and within another `stop_signals`.
    """
    global _state  # noqa: PLW0603  # signals are the process's
    if _state is not None or threading.current_thread() is not threading.main_thread():
        yield
        return
    _state = state = _State()
    before = {number: signal.signal(number, state.handle) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        _state = None


@contextmanager
def shielded() -> Iterator[None]:
    """
    Let a call end before a signal stops the run; a second signal interrupts it.

    Raises:
        Stopped: At its end, if a signal came meanwhile.
    """
    state = _state
    if state is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    state.shields += 1
    try:
        yield
    except Exception as error:
        if state.received is not None and state.shields == 1:
            raise Stopped(state.received) from error
        raise
    finally:
        state.shields -= 1
        if not state.shields:
            number, state.received = state.received, None
    if not state.shields and number is not None:
        raise Stopped(number)
