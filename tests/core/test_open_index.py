from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from m3kit import IndexNotFoundError, open_index

THIRD_PARTY = """
from contextlib import nullcontext
from m3kit import MemoryIndex

def open_shelf(address, /, *, dim, reps, model):
    print(address, dim, sorted(reps), model)
    return nullcontext(MemoryIndex(dim, reps=reps, model=model))
"""
USE = """
from m3kit import open_index
with open_index("shelf://left/top?x=1", dim=4, reps=["dense"], model="m@1") as index:
    print(index.model, sorted(index.reps))
"""


def test_an_unknown_scheme_names_the_known_ones() -> None:
    with pytest.raises(IndexNotFoundError, match=r"nowhere://.*known are file, milvus, qdrant"):
        open_index("nowhere://host/papers")


def test_a_third_partys_store_plugs_in_by_an_entry_point(tmp_path: Path) -> None:
    (tmp_path / "shelf.py").write_text(THIRD_PARTY, encoding="utf-8")
    metadata = tmp_path / "shelf-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Name: shelf\nVersion: 1.0\n", encoding="utf-8")
    (metadata / "entry_points.txt").write_text("[m3kit.indexes]\nshelf = shelf:open_shelf\n")
    done = subprocess.run(
        [sys.executable, "-c", USE], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["left/top?x=1 4 ['dense'] m@1", "m@1 ['dense']"]


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("", "the address is empty"),
        (":memory:", r"write m3kit\.MemoryIndex"),
        ("milvus:/papers.db/x", "two slashes: milvus://"),
        ("qdrant:/host/papers", "two slashes: qdrant://"),
        ("qdrant:papers", "two slashes: qdrant://"),
    ],
)
def test_what_is_no_address_makes_no_folder(
    address: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=why):
        open_index(address, dim=4, reps=["dense"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("address", ["~/papers", "milvus://~/papers.db/x"])
def test_a_tilde_is_the_home_directory(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(work)
    open_index(address, dim=4, reps=["dense"]).close()
    assert list(work.iterdir()) == []
    assert len(list(home.iterdir())) == 1
