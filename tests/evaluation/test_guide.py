"""The guide's commands print what it shows, but for the times."""

from __future__ import annotations

import io
import re
import shlex
import sys
from contextlib import redirect_stdout
from pathlib import Path
from runpy import run_path

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
        assert_alike(timeless(output(command, monkeypatch)), timeless(shown))


def output(command: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run a command within this process, which has imported PyTorch once for all of them."""
    program, *arguments = shlex.split(command)
    if program == "m3kit":
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, result.output
        return result.stdout
    monkeypatch.setattr(sys, "argv", arguments)
    with redirect_stdout(io.StringIO()) as printed:
        run_path(str(ROOT / arguments[0]), run_name="__main__")
    return printed.getvalue()


_NUMBER = re.compile(r"\d+(?:\.\d+)?")


def assert_alike(text: str, shown: str) -> None:
    """Compare lines; their figures, as near as `rounding` says."""
    for line, expected in zip(text.splitlines(), shown.splitlines(), strict=True):
        assert _NUMBER.sub("…", line) == _NUMBER.sub("…", expected)
        for number, wanted in zip(_NUMBER.findall(line), _NUMBER.findall(expected), strict=True):
            assert float(number) == pytest.approx(float(wanted), abs=rounding(wanted, line)), line


def rounding(number: str, line: str) -> float:
    """
    Return what a CPU's rounding may change in a figure.

    Two passages have the same words in another order, which the model tells apart by rounding
    alone: two queries of the 285 may find one or the other first, and have half of RR or all of it.
    """
    decimals = len(number.partition(".")[2])
    if " | +" in line:  # a comparison: figures and their difference, queries, p
        return {0: 1, 3: 0.0025, 4: 0.1}[decimals]
    return 0.004 if decimals == 3 and "bm25" not in line else 0


def timeless(text: str) -> str:
    text = re.sub(r"[\d.]+ ms", "… ms", text)
    return re.sub(r"[\d.]+ (\| [\d.]+ \|)$", r"… \1", text, flags=re.MULTILINE).strip()
