from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

import pytest
from hypothesis import settings

settings.register_profile("default", derandomize=True, max_examples=50, deadline=None)
settings.register_profile("nightly", max_examples=2000, deadline=None)
settings.load_profile(os.environ.get("M3KIT_HYPOTHESIS", "default"))

_APART = {"slow": "takes minutes", "peer": "runs Vespa's own Java"}
"""Marked tests that run when `-m` names their mark, and why not otherwise."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    chosen = str(config.option.markexpr)
    for item in items:
        for mark, why in _APART.items():
            if mark not in chosen and item.get_closest_marker(mark):
                item.add_marker(pytest.mark.skip(reason=f"{why}: python -m pytest -m {mark}"))


_MEMORY = Path("/dev/shm")  # noqa: S108  # a file system without a disk, where there is one
_ROOM = 4 * 2**30


@contextmanager
def quick_folder(otherwise: Path) -> Iterator[Path]:
    """A new index on a disk waits 0.3 s for it; in memory, if there is room, the suite does not."""
    if not _MEMORY.is_dir() or shutil.disk_usage(_MEMORY).free < _ROOM:
        yield otherwise
        return
    path = Path(mkdtemp(dir=_MEMORY))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    """A path where nothing is yet."""
    with quick_folder(tmp_path) as folder:
        yield folder / "index"
