from __future__ import annotations

import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from m3kit.adapters.storage import ColbertStorage
from m3kit.mapped_colbert import StackedType, StackedWriter, open_stacked
from m3kit.scoring import Stacked, maxsim
from m3kit.vectors import Floats

DIM = 48


def unit(rng: np.random.Generator, rows: int) -> Floats:
    vectors = rng.standard_normal((rows, DIM)).astype(np.float32)
    unit: Floats = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def written(folder: Path, documents: list[Floats], dtype: StackedType) -> Path:
    with StackedWriter(folder, DIM, dtype) as writer:
        for document in documents:
            writer.add(document)
    return folder


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
def test_scores_are_those_of_what_is_stored(tmp_path: Path, dtype: StackedType) -> None:
    rng = np.random.default_rng(0)
    documents = [unit(rng, int(rows)) for rows in rng.integers(1, 90, 1500)]
    query = unit(rng, 7)
    stacked = open_stacked(written(tmp_path / "all", documents, dtype))
    stored = [ColbertStorage(dtype).stored(document) for document in documents]
    plain = [float((query @ rows.T).max(axis=1).mean()) for rows in stored]
    assert len(stacked) == len(documents)
    np.testing.assert_allclose(maxsim(query, stacked), plain, atol=1e-6)
    if dtype == "float32":
        np.testing.assert_array_equal(maxsim(query, stacked), maxsim(query, Stacked.of(documents)))


def test_equal_documents_tie_wherever_they_are(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    twin = unit(rng, 5)
    documents = [twin if n % 50 == 3 else unit(rng, 1 + n % 70) for n in range(900)]
    scores = maxsim(unit(rng, 4), open_stacked(written(tmp_path / "all", documents, "float16")))
    assert len(set(scores[3::50].tolist())) == 1


def test_memory_does_not_grow_with_the_documents(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    document, query = unit(rng, 64), unit(rng, 8)
    with StackedWriter(tmp_path / "all", DIM) as writer:
        for _ in range(20_000):
            writer.add(document)
    size = 20_000 * 64 * DIM * 2
    stacked = open_stacked(tmp_path / "all")
    tracemalloc.start()
    scores = maxsim(query, stacked)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(scores) == 20_000
    assert peak < size / 4


def test_what_was_not_completed_or_is_damaged_is_not_opened(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    narrow = [unit(rng, 3), unit(rng, 3)[:, :7]]
    with pytest.raises(ValueError, match="document 1 has vectors of shape"):
        written(tmp_path / "stopped", narrow, "float16")
    with pytest.raises(FileNotFoundError, match="was not completed"):
        open_stacked(tmp_path / "stopped")
    with pytest.raises(FileExistsError, match="give a new folder"):
        StackedWriter(tmp_path / "stopped", DIM)
    folder = written(tmp_path / "whole", [unit(rng, 3)], "int8")
    os.truncate(folder / "tokens.bin", 100)
    with pytest.raises(ValueError, match="is damaged: it has 100 bytes"):
        open_stacked(folder)


def test_other_types_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="float32, float16, int8, not 'binary'"):
        StackedWriter(tmp_path, DIM, "binary")  # type: ignore[arg-type]  # refused
