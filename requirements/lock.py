"""
Write every environment's lock anew, from the open bounds in `pyproject.toml`: `make lock`.

uv resolves each for all systems, and for all versions of Python that m3kit runs on.
"""

# ruff: noqa: INP001, S603  # a script, which runs uv

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
_UV = "uv.exe" if os.name == "nt" else "uv"
_OPTIONS = [
    "--universal",
    "--python-version=3.11",
    "--generate-hashes",
    "--only-binary=:all:",  # what is built fetches what builds it, which no lock can pin
    "--no-header",
    "--no-annotate",
    "--upgrade",
    "--quiet",
]
_LOWEST = ("--resolution=lowest-direct",)
_AS_IN_TEST = ("--constraint=requirements/test.txt",)
_HEADER = "# Written by `make lock`: the packages of the environment `{}`, for every system.\n"


@dataclass(frozen=True)
class Environment:
    """What is asked for: extras and dependency groups of the project, and uv's own options."""

    extras: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()


def lower_bounds(*, of: Sequence[str] = (), without: Sequence[str] = ()) -> tuple[str, ...]:
    """
    Pin what the project and its extras ask for to the lower bounds.

    Args:
        of: These extras alone; all by default.
        without: But these.

    uv's lowest resolution lets a version of Python that needs newer packages raise them for others.
    Those that have none of the oldest wheels are left to it.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    chosen = [extras[name] for name in of or extras if name not in without]
    names = (re.match(r"([\w-]+)>=([\w.]+)", name) for name in chain(*chosen))
    return tuple(f"{name[1]}=={name[2]}; python_version < '3.13'" for name in names if name)


ENVIRONMENTS = {
    "test": Environment(("all", "train", "testing"), ("dev", "peers")),
    "demo": Environment(("torch", "qdrant", "cli"), options=_AS_IN_TEST),
    "milvus": Environment(("milvus",), options=_AS_IN_TEST),
    "reference": Environment(("all", "train", "testing"), ("dev", "reference")),
    "lowest": Environment(("all", "testing"), ("dev",), _LOWEST, lower_bounds(without=["train"])),
    # The oldest transformers for training wants newer packages than the oldest of the rest.
    "lowest-train": Environment(
        ("train", "qdrant", "cli", "testing"), ("runner",), _LOWEST, lower_bounds(of=["train"])
    ),
    "pymilvus-2": Environment(groups=("pymilvus-2",)),
    "milvus-lite-2": Environment(groups=("milvus-lite-2",)),
    "pymilvus-2-milvus-lite-2": Environment(groups=("pymilvus-2-milvus-lite-2",)),
    "lock": Environment(groups=("lock",)),
}
"""
Each has pip and the build backend, too. `test` comes first: `demo` shares a folder with it, and
`milvus`, for an image, the tests.
"""


def compile_lock(name: str, environment: Environment) -> str:
    """Resolve an environment anew."""
    asked = [f"--extra={extra}" for extra in environment.extras]
    asked += [f"--group={group}" for group in ("build", *environment.groups)]
    source = ["pyproject.toml"] if environment.extras else []
    uv = [str(Path(sys.executable).with_name(_UV)), "pip", "compile", *source, *asked, *_OPTIONS]
    with TemporaryDirectory() as folder:
        constraints = Path(folder, "constraints.txt")
        constraints.write_text("\n".join(environment.constraints), encoding="utf-8")
        done = subprocess.run(
            [*uv, *environment.options, "--constraint", str(constraints)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            encoding="utf-8",
            check=True,
        )
    return _HEADER.format(name) + done.stdout


def main() -> None:
    """Write the locks that are named, or all."""
    for name in sys.argv[1:] or ENVIRONMENTS:
        text = compile_lock(name, ENVIRONMENTS[name])
        (HERE / f"{name}.txt").write_text(text, encoding="utf-8", newline="\n")
        sys.stdout.write(f"requirements/{name}.txt\n")


if __name__ == "__main__":
    main()
