"""The guide's commands print what it shows, but for the times."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from m3kit.cli.app import app

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "evaluate.md").read_text(encoding="utf-8")


def test_the_commands_print_what_the_page_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)
    for part in re.split(r"^\$ ", "".join(blocks), flags=re.MULTILINE)[1:]:
        command, _, shown = part.partition("\n")
        assert timeless(output(command)) == timeless(shown)


def output(command: str) -> str:
    program, *arguments = shlex.split(command)
    if program == "m3kit":
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, result.output
        return result.stdout
    script = [sys.executable, str(ROOT / arguments[0]), *arguments[1:]]
    done = subprocess.run(script, capture_output=True, encoding="utf-8", check=True)
    return done.stdout


def timeless(text: str) -> str:
    text = re.sub(r"[\d.]+ ms", "… ms", text)
    return re.sub(r"[\d.]+ (\| [\d.]+ \|)$", r"… \1", text, flags=re.MULTILINE).strip()
