"""
Make an environment of exactly what its lock names, and this project, in a folder.

    python requirements/install.py test .venv

A second environment in the same folder adds to the first. Where PyTorch is there in another build
than the registry's (`2.9.0+cpu`), it stays, and what the lock has for it is left out.
"""

# ruff: noqa: INP001, S603  # a script, which runs pip

from __future__ import annotations

import os
import re
import subprocess
import sys
import venv
from pathlib import Path
from tempfile import TemporaryDirectory

HERE = Path(__file__).resolve().parent
_TORCH = re.compile(r"(torch|triton|cuda-[\w-]+|nvidia-[\w-]+)==")
_ANOTHER_BUILD = (
    "lib/python*/site-packages/torch-*+*.dist-info",
    "Lib/site-packages/torch-*+*.dist-info",
)


def packages(name: str, folder: Path) -> str:
    """Read a lock, without PyTorch and its libraries where the folder has another build of it."""
    text = (HERE / f"{name}.txt").read_text(encoding="utf-8")
    if not any(any(folder.glob(pattern)) for pattern in _ANOTHER_BUILD):
        return text
    return "".join(entry for entry in _entries(text) if not _TORCH.match(entry))


def in_turn(lock: str) -> list[str]:
    """Return what is installed first, pip, and the whole: Python's own may be too old for it."""
    return [*(entry for entry in _entries(lock) if entry.startswith("pip==")), lock]


def _entries(lock: str) -> list[str]:
    return re.split(r"^(?=\w)", lock, flags=re.MULTILINE)


def install(name: str, folder: Path) -> None:
    """Make the environment, or bring it to what its lock says now."""
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.exists():
        venv.create(folder, with_pip=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    with TemporaryDirectory() as scratch:
        lock = Path(scratch, f"{name}.txt")
        locked = ["--require-hashes", "--only-binary", ":all:", "--requirement", str(lock)]
        for part in in_turn(packages(name, folder)):
            lock.write_text(part, encoding="utf-8")
            subprocess.run([*pip, *locked], check=True)
    project = ["--no-deps", "--no-build-isolation", "--editable", str(HERE.parent)]
    subprocess.run([*pip, *project], check=True)


if __name__ == "__main__":
    if sys.version_info < (3, 11):  # noqa: UP036  # whoever has an older one is told
        sys.exit("m3kit needs Python 3.11 or later; say make PYTHON=python3.12")
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    try:
        install(sys.argv[1], Path(sys.argv[2]))
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)  # pip has said why
    Path(sys.argv[2], f".{sys.argv[1]}").touch()  # for make
