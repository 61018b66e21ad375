"""File systems that are read-only."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest


@contextmanager
def read_only(source: Path, view: Path) -> Iterator[None]:
    """Mount a folder where it cannot be written; skip the test where nobody may mount."""
    run: Any = partial(subprocess.run, check=True, capture_output=True)
    try:
        run(["mount", "--bind", f"{source}", f"{view}"])
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"needs to mount a file system: {error}")
    try:
        run(["mount", "-o", "remount,bind,ro", f"{view}"])
        yield
    finally:
        run(["umount", "-l", f"{view}"])
