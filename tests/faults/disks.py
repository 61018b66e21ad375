"""A small file system in memory, in a namespace of this process."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

_NEW_MOUNTS, _NEW_USER = 0x00020000, 0x10000000
_PRIVATE, _REMOUNT = 1 << 18 | 1 << 14, 32


def enter_namespace() -> None:
    """
    Have mounts of this process and its children end with them.

    Raises:
        OSError: If this user may not.
    """
    user, group = os.getuid(), os.getgid()
    _check(_libc().unshare(_NEW_MOUNTS | (_NEW_USER if user else 0)))
    if user:
        Path("/proc/self/setgroups").write_text("deny", "ascii")
        Path("/proc/self/uid_map").write_text(f"0 {user} 1", "ascii")
        Path("/proc/self/gid_map").write_text(f"0 {group} 1", "ascii")
    _check(_libc().mount(b"none", b"/", None, ctypes.c_ulong(_PRIVATE), None))


def mount(folder: Path, kilobytes: int, *, again: bool = False) -> None:
    """
    Mount a file system of a size, or give the one that is mounted another size.

    Raises:
        OSError: If this user may not.
    """
    flags, size = ctypes.c_ulong(_REMOUNT if again else 0), f"size={kilobytes}k".encode()
    _check(_libc().mount(b"none", str(folder).encode(), b"tmpfs", flags, size))


def unmount(folder: Path) -> None:
    """Unmount it."""
    _check(_libc().umount2(str(folder).encode(), 2))


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _check(result: int) -> None:
    if result:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
