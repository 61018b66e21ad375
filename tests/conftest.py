from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from m3kit.torch import TorchEncoder

if "PYTEST_XDIST_WORKER" in os.environ:
    # Each worker computes on its core: the threads of several would wait for each other.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

settings.register_profile("default", derandomize=True, max_examples=30, deadline=None)
settings.register_profile("nightly", max_examples=2000, deadline=None)
settings.load_profile(os.environ.get("M3KIT_HYPOTHESIS", "default"))

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


@pytest.fixture(scope="session")
def of_128(tmp_path_factory: pytest.TempPathFactory) -> TorchEncoder:
    """The shipped model with 128 positions, where a text that is cut is a short one."""
    from tests.torch.random_checkpoint import write_long_tiny

    from m3kit.torch import TorchEncoder

    folder = tmp_path_factory.mktemp("short") / "tiny"
    return TorchEncoder.from_pretrained(write_long_tiny(folder, 130))
