"""Compiling the shim that kills a process at one of its changes to files, and arming it."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from pathlib import Path

_SOURCE = Path(__file__).with_name("shim.c")


def compile_shim(folder: Path) -> Path | None:
    """Compile it; None where there is no compiler, or where libraries cannot be preloaded."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or not Path("/proc/self/fd").exists():
        return None
    library = folder / "shim.so"
    command = [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(_SOURCE), "-ldl"]
    done = subprocess.run(command, capture_output=True, check=False)
    return library if done.returncode == 0 else None


def is_preloaded() -> bool:
    """Tell whether this process has it."""
    return "shim.so" in os.environ.get("LD_PRELOAD", "")


def arm(folder: Path, at: int = 0, *, torn: bool = False) -> None:
    """Count changes below a folder from now on, and die at number `at`, or after half of it."""
    ctypes.CDLL(None).fault_arm(str(folder).encode(), ctypes.c_long(at), int(torn))


def calls() -> int:
    """Return how many changes there were since it was armed."""
    function = ctypes.CDLL(None).fault_calls
    function.restype = ctypes.c_long
    return int(function())
