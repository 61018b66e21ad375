"""Every example runs and prints what it says it prints, and so does the README."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from runpy import run_path

import pytest
from typer.testing import CliRunner

from m3kit.cli.app import app

ROOT = Path(__file__).parents[2]
EXAMPLES = [
    path
    for path in sorted((ROOT / "examples").glob("[0-9]*.py"))
    if "vespa" not in path.name  # those run where a Vespa is, in tests/vespa
]
README = (ROOT / "README.md").read_text(encoding="utf-8")
ENVIRONMENT = {**os.environ, "COLUMNS": "100", "PYTHONIOENCODING": "utf-8", "PYTHONUTF8": "1"}


def run(*command: str, cwd: Path) -> str:
    done = subprocess.run(
        command, cwd=cwd, env=ENVIRONMENT, capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def without_seconds(text: str) -> str:
    return re.sub(r"\d+\.\d+ s\b", "… s", text)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
@pytest.mark.filterwarnings("default")  # of libraries; a script's reader sees them, too
def test_an_example_prints_what_it_says(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Run in this process, which has imported PyTorch and the frameworks once for all of them."""
    source = path.read_text(encoding="utf-8")
    assert len(source.splitlines()) <= 40
    *_, output = source.rstrip().split("\n\n")
    monkeypatch.chdir(tmp_path)
    run_path(str(path), run_name="__main__")
    expected = [line.removeprefix("# ") for line in output.splitlines()]
    assert capsys.readouterr().out.splitlines() == expected


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("block", blocks("python"))
@pytest.mark.filterwarnings("default")
def test_the_readmes_code_runs(block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "readme.py"
    script.write_text(block, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    run_path(str(script), run_name="__main__")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a copy of what the README's commands need, so that they leave nothing behind."""
    copy = tmp_path_factory.mktemp("checkout")
    for name in ("README.md", "examples"):
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, copy / name)
    return copy


def test_the_demo_prints_what_the_readme_shows(checkout: Path) -> None:
    (shown,) = blocks("text")
    printed = without_seconds(run(sys.executable, "examples/demo.py", cwd=checkout))
    for part in without_seconds(shown).split("…\n"):
        assert part.strip() in "\n".join(line.rstrip() for line in printed.splitlines())
    again = run(sys.executable, "examples/demo.py", cwd=checkout)
    assert "indexed already" in again


def invoked(arguments: list[str]) -> str:
    done = CliRunner(env=ENVIRONMENT).invoke(app, arguments)
    assert done.exit_code == 0, done.output
    return done.stdout


COMMANDS = [
    (command, shown)
    for block in blocks("console")
    for command, shown in re.findall(r"^\$ (m3kit .*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE)
]


def test_the_readmes_commands_print_what_it_shows(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first is run as people do, the others within this process, which has what they import."""
    m3kit = shutil.which("m3kit", path=str(Path(sys.executable).parent))
    assert m3kit is not None
    assert COMMANDS
    monkeypatch.chdir(checkout)
    for position, (command, shown) in enumerate(COMMANDS):
        arguments = shlex.split(command)[1:]
        printed = invoked(arguments) if position else run(m3kit, *arguments, cwd=checkout)
        lines = {line.rstrip() for line in printed.splitlines()}
        assert {line.rstrip() for line in shown.splitlines()} - {"…", ""} <= lines
