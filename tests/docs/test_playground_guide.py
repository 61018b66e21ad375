"""The playground's guide, from top to bottom: its commands print what it shows."""

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
PAGE = (ROOT / "docs" / "playground.md").read_text(encoding="utf-8")


def test_the_guide_is_what_happens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    blocks = re.findall(r"^```(console|python)\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    assert [language for language, _ in blocks].count("console") == 3
    for language, code in blocks:
        if language == "python":
            exec(compile(code, "docs/playground.md", "exec"), {})  # noqa: S102  # the guide's code
            continue
        for part in re.split(r"^\$ ", code, flags=re.MULTILINE)[1:]:
            command, _, shown = part.partition("\n")
            printed = {line.rstrip() for line in timeless(output(command)).splitlines()}
            assert {line.rstrip() for line in timeless(shown).splitlines()} - {"…"} <= printed
    page = (tmp_path / "why.html").read_text("utf-8")
    assert "New Address List: Customize" in page
    assert "<script" not in page


def output(command: str) -> str:
    program, *arguments = shlex.split(command)
    if program == "m3kit":
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, result.output
        return result.stdout
    script = [sys.executable, str(ROOT / arguments[0]), *arguments[1:]]
    return subprocess.run(script, capture_output=True, encoding="utf-8", check=True).stdout


def timeless(text: str) -> str:
    return re.sub(r"\| [\d.… ms]+ \|$", "| … ms |", text.strip(), flags=re.MULTILINE)
