"""`import m3kit` needs NumPy alone, and is quick."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import m3kit

MODULES = """
import sys
sys.path.append(sys.argv[1])
import m3kit
outside = {name.partition(".")[0] for name in sys.modules} - set(sys.stdlib_module_names)
print(*sorted(outside - {"__main__"}))
"""
SECONDS = """
import time

before = time.process_time()
import numpy

between = time.process_time()
import m3kit

print(time.process_time() - between, between - before)
"""


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with m3kit and NumPy, and nothing else."""
    folder = tmp_path_factory.mktemp("clean")
    shutil.copytree(Path(m3kit.__file__).parent, folder / "m3kit", ignore=_checkpoints)
    installed = Path(np.__file__).parents[1]
    for name in ("numpy", "numpy.libs"):
        if (installed / name).is_dir():
            _link(folder / name, installed / name)
    return folder


def _checkpoints(_: str, names: list[str]) -> set[str]:
    return {"checkpoints", "__pycache__"} & set(names)


def _link(link: Path, target: Path) -> None:
    try:
        link.symlink_to(target, target_is_directory=True)
    except OSError:  # Windows, without the right to make links
        shutil.copytree(target, link)


def test_nothing_but_numpy_is_imported(clean: Path) -> None:
    command = [sys.executable, "-I", "-S", "-c", MODULES, str(clean)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["m3kit", "numpy"]


def test_it_adds_less_than_a_tenth_of_a_second_to_numpy() -> None:
    """Or less than NumPy itself takes, on a machine that is slow or busy."""
    command = [sys.executable, "-c", SECONDS]
    times = []
    for _ in range(5):
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        times.append([float(number) for number in done.stdout.split()])
    seconds, numpy = (min(of) for of in zip(*times, strict=True))
    assert seconds < max(0.1, numpy)


def test_the_public_names_are_all_that_is_there() -> None:
    public = {name for name in vars(m3kit) if not name.startswith("_")}
    modules = {name for name in public if type(vars(m3kit)[name]) is type(m3kit)}
    assert public - modules == set(m3kit.__all__)
