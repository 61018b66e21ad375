"""The command `m3kit`: what is done before the library is imported, which takes a second."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import NoReturn


def main() -> None:
    """Run the command of `sys.argv`, and exit."""
    open_closed_streams()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, exit_at_once)
    from m3kit.cli import main as run

    run()


def exit_at_once(number: int, _: FrameType | None) -> NoReturn:
    """End the process with one line on stderr: a handler of signals while there is no work yet."""
    os.write(2, b"error: stopped (nothing was written)\n")
    os._exit(128 + number)


def open_closed_streams() -> None:
    """
    Put the null device in the place of standard streams that are closed, as by `m3kit … >&-`.

    Without, the next file that is opened would take their numbers, and what is printed.
    """
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is not None:
            continue
        null = os.open(os.devnull, os.O_RDWR)
        if null != descriptor:
            os.dup2(null, descriptor)
            os.close(null)
        mode = "r" if name == "stdin" else "w"
        setattr(sys, name, open(descriptor, mode, encoding="utf-8", closefd=False))  # noqa: SIM115  # a descriptor, for good
