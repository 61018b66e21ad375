from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from tests.shelf import shelf
from typer.testing import CliRunner, Result

from m3kit.backend.encoder import TextEncoder
from m3kit.cli import opening
from m3kit.cli.app import app

__all__ = ["shelf"]

Command: TypeAlias = Callable[..., Result]

TEXTS = {
    "dialog.en": "Open a dialog with Python: a macro shows a window with buttons.",
    "dialog.de": "Einen Dialog mit Python öffnen: ein Makro zeigt ein Fenster.",
    "dialog.fr": "Ouvrir une boîte de dialogue avec Python depuis une macro.",
    "rows.en": "Insert rows and columns into a table of the text document.",
    "rows.de": "Zeilen und Spalten in eine Tabelle des Dokuments einfügen.",
    "rows.zh": "在文本文档的表格中插入行和列。",
    "print.en": "Print several pages on one sheet of paper.",
    "print.de": "Mehrere Seiten auf ein Blatt Papier drucken.",
    "print.ja": "複数のページを1枚の用紙に印刷します。",
    "colour.en": "Change the colour of the background of a cell.",
    "colour.fr": "Modifier la couleur de l'arrière-plan d'une cellule.",
    "colour.ru": "Изменение цвета фона ячейки.",
}


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test starts in an empty folder, with nobody's settings."""
    monkeypatch.chdir(tmp_path)
    for name in ("M3KIT_MODEL", "M3KIT_DEVICE", "M3KIT_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "100")


_load_torch = opening._load_torch  # what the next fixture calls once
_load_once = cache(_load_torch)


@pytest.fixture(scope="session", autouse=True)
def _shipped_model_is_loaded_once() -> Iterator[None]:
    """Load the shipped model for the first command alone; other models are loaded by each."""

    def load(model: str, device: str | None) -> TextEncoder:
        is_shipped = model.partition("@")[0] == "tiny" and device is None
        return _load_once(model, device) if is_shipped else _load_torch(model, device)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(opening, "_load_torch", load)
        yield


@pytest.fixture(scope="session")
def run() -> Command:
    """Run `m3kit …`."""

    def run(*args: str, stdin: str | bytes | None = None) -> Result:
        return CliRunner().invoke(app, args, input=stdin, prog_name="m3kit")

    return run


@pytest.fixture(scope="session")
def corpus() -> list[dict[str, Any]]:
    """A few documents, as JSONL says them."""
    return [
        {"id": id_, "text": text, "metadata": {"lang": id_[-2:], "topic": id_[:-3]}}
        for id_, text in TEXTS.items()
    ]


@pytest.fixture(scope="session")
def corpus_file(tmp_path_factory: pytest.TempPathFactory, corpus: list[dict[str, Any]]) -> Path:
    path = tmp_path_factory.mktemp("corpus") / "corpus.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in corpus), "utf-8")
    return path


@pytest.fixture(scope="session")
def sample(run: Command, corpus_file: Path) -> Path:
    """An index of the sample documents, only to be read."""
    address = corpus_file.parent / "index"
    result = run("index", str(corpus_file), "--to", str(address), "--model", "tiny")
    assert result.exit_code == 0, result.output
    return address


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A copy of the tiny checkpoint, in a folder of its own."""
    folder = tmp_path / "mine"
    shutil.copytree(str(files("m3kit").joinpath("checkpoints", "tiny")), folder)
    return folder
