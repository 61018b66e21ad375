"""
Folders whose files a forked process does not keep open.

A lock on a file ends only when no process has it open.
"""

from __future__ import annotations

import os
from collections import Counter
from contextlib import suppress
from pathlib import Path

_DESCRIPTORS = Path("/proc/self/fd")

_folders: Counter[str] = Counter()


def hold(folder: Path) -> None:
    """Have a process that is forked from now on close the files below `folder` that it inherits."""
    _folders[_prefix(folder)] += 1


def let_go(folder: Path) -> None:
    """Undo a `hold`."""
    _folders[_prefix(folder)] -= 1


def _prefix(folder: Path) -> str:
    return f"{folder.resolve()}{os.sep}"


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
    os.register_at_fork(after_in_child=_detach)
