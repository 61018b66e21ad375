"""
What a forked process must not use: clients, and files.

A lock on a file ends only when no process has it open. A file that is mapped into memory is one for
parent and child: what either writes there is written to the other's, too.
"""

from __future__ import annotations

import ctypes
import os
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from weakref import WeakSet

_DESCRIPTORS = Path("/proc/self/fd")

_folders: Counter[str] = Counter()
_undroppable: WeakSet[object] = WeakSet()


def hold(folder: Path) -> None:
    """Have a process that is forked from now on close the files below `folder` that it inherits."""
    _folders[_prefix(folder)] += 1


def let_go(folder: Path) -> None:
    """Undo a `hold`."""
    _folders[_prefix(folder)] -= 1


def never_drop(thing: object) -> None:
    """
    Have a process that is forked from now on keep an object that it inherits until it ends.

    For one that writes to its files when it is dropped: these are its parent's alone from then on.
    """
    _undroppable.add(thing)


def check_process(pid: int, what: str) -> None:
    """
    Check that a client is used in the process that made it: no other shares its connections.

    Args:
        pid: That process.
        what: What the client is of, for the message.

    Raises:
        RuntimeError: If this process was forked since.
    """
    if os.getpid() != pid:
        raise RuntimeError(f"{what} was opened before this process was forked; open it after")


def in_this_process(close: Callable[[], object]) -> Callable[[], None]:
    """Return a function that does nothing in a process that is forked from now on."""
    pid = os.getpid()

    def closing() -> None:
        if os.getpid() == pid:
            close()

    return closing


def _prefix(folder: Path) -> str:
    return f"{folder.resolve()}{os.sep}"


def _keep() -> None:
    """Count a reference that nothing gives back, not even the end of the interpreter."""
    for thing in _undroppable:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


def _detach() -> None:
    """Put the null device in the place of inherited files; their descriptors stay valid."""
    folders = tuple(folder for folder, count in _folders.items() if count > 0)
    _folders.clear()
    if not folders or not _DESCRIPTORS.exists():
        return
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for descriptor in list(_DESCRIPTORS.iterdir()):
        with suppress(OSError):  # the listing's own descriptor is gone
            if str(descriptor.readlink()).startswith(folders):
                os.dup2(null, int(descriptor.name), inheritable=False)
    os.close(null)


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_keep)
    os.register_at_fork(after_in_child=_detach)
