from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import pytest

from m3kit import REPS, Document, M3Output, Rep, Sparse
from m3kit.evaluation import Dataset
from m3kit.torch import TorchEncoder

SHELF = """
from m3kit import MemoryIndex

SHELVES = {}

class Shelf(MemoryIndex):
    def close(self):
        self.flush()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

def open_shelf(address, /, *, dim, reps, model):
    if address not in SHELVES:
        SHELVES[address] = Shelf(dim, reps=reps, model=model)
    return SHELVES[address]
"""
ENTRY_POINTS = "[m3kit.indexes]\nshelf = m3kit_test_shelf:open_shelf\n"

CORPUS = {
    "rows": ("Rows", "Insert rows and columns into a table of the text document."),
    "print": ("Print", "Print several pages on one sheet of paper."),
    "colour": ("Colour", "Change the colour of the background of a cell."),
    "fax": ("Fax", "Send a fax from the print dialog."),
    "macro": ("Macro", "A macro shows a window with buttons."),
}
QUERIES = {"q1": "add a row to a table", "q2": "several pages on a sheet", "q3": "a cell's colour"}
QRELS = {"q1": {"rows": 1}, "q2": {"print": 2, "fax": 1}, "q3": {"colour": 1, "rows": 0}}


@pytest.fixture(scope="session")
def encoder() -> TorchEncoder:
    return TorchEncoder.from_pretrained("tiny")


@pytest.fixture
def beir(tmp_path: Path) -> Path:
    """A test collection in BEIR's layout."""
    return write_beir(tmp_path / "manual")


@pytest.fixture
def address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of an index that a third party's package opens."""
    (tmp_path / "m3kit_test_shelf.py").write_text(SHELF, encoding="utf-8")
    metadata = tmp_path / "m3kit_test_shelf-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Name: m3kit-test-shelf\nVersion: 1.0\n", encoding="utf-8")
    (metadata / "entry_points.txt").write_text(ENTRY_POINTS, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    return f"shelf://{tmp_path.name}"


def write_beir(folder: Path) -> Path:
    (folder / "qrels").mkdir(parents=True)
    corpus = [{"_id": id_, "title": title, "text": text} for id_, (title, text) in CORPUS.items()]
    write_lines(folder / "corpus.jsonl", corpus)
    write_lines(folder / "queries.jsonl", [{"_id": q, "text": text} for q, text in QUERIES.items()])
    rows = ["query-id\tcorpus-id\tscore"]
    rows += [f"{q}\t{d}\t{grade}" for q, grades in QRELS.items() for d, grade in grades.items()]
    (folder / "qrels" / "test.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


def write_lines(path: Path, rows: Sequence[object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")


class Drawn:
    """An encoder whose vectors are drawn from the text's number: `7` gives the vectors of 7."""

    model = "drawn@1"
    dim = 4
    reps = frozenset(REPS)

    def encode_queries(
        self, texts: Sequence[str], reps: Collection[Rep] | None = None
    ) -> list[M3Output]:
        return [drawn(int(text) + 10**6).only(*(reps or REPS)) for text in texts]

    def encode_documents(
        self, texts: Sequence[str], reps: Collection[Rep] | None = None
    ) -> list[M3Output]:
        return [drawn(int(text)).only(*(reps or REPS)) for text in texts]


def drawn(number: int) -> M3Output:
    random = np.random.default_rng(number)
    tokens = random.standard_normal((int(random.integers(1, 6)), 4)).astype(np.float32)
    tokens /= np.linalg.norm(tokens, axis=1, keepdims=True)
    ids = np.flatnonzero(random.random(12) < 0.2)
    weights = random.choice([0.25, 0.5, 1.0], len(ids)).astype(np.float32)
    return M3Output(dense=tokens[0], sparse=Sparse(ids.astype(np.int64), weights), colbert=tokens)


def numbers(count: int, *, queries: int = 6, distinct: int = 40) -> Dataset:
    """A collection of numbers, of which many are equal, so that scores tie."""
    return Dataset(
        name="numbers",
        documents=lambda: (Document(f"d{n:04}", str(n * 7919 % distinct)) for n in range(count)),
        queries={f"q{n}": str(n) for n in range(queries)},
        qrels={f"q{n}": {f"d{n:04}": 1} for n in range(queries)},
    )
