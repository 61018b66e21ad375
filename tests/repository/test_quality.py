"""The code is clean by the repository's own rules."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "command",
    ["ruff check", "ruff format --check", "mypy", "importlinter"],
    ids=lambda command: command.replace(" ", "-"),
)
def test_a_checker_finds_nothing(command: str) -> None:
    name, *options = command.split()
    module = {"importlinter": ["-c", "from importlinter.cli import lint_imports_command as c; c()"]}
    arguments = module.get(name, ["-m", name, *options])
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
