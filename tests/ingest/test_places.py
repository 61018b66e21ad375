"""Two files of one path below their sources: neither replaces the other unless that is said."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from tests.ingest.conftest import Write

from m3kit import MemoryIndex
from m3kit.ingest import Ledger, SourceError, Summary, read_sources, sync
from m3kit.testing import DIM, HashEncoder

Run: TypeAlias = Callable[..., Summary]


@pytest.fixture
def index() -> MemoryIndex:
    return MemoryIndex(DIM, model="hash@1")


@pytest.fixture
def run(index: MemoryIndex, tmp_path: Path) -> Iterator[Run]:
    """Index sources by a command of their own."""
    encoder = HashEncoder()
    encoder.model = "hash@1"
    with Ledger(tmp_path / "ledger", index) as ledger:

        def run(*sources: Any, prefix: str = "", **options: Any) -> Summary:
            items = read_sources(sources, prefix=prefix)
            return sync(encoder, index, items, ledger=ledger, **options)

        yield run


def texts(index: MemoryIndex) -> dict[str, str]:
    return {record.document.id: record.document.text for record in index.scan()}


def test_another_folder_with_the_same_path_is_refused_by_a_line_that_names_the_prefix(
    write: Write, run: Run, index: MemoryIndex, tmp_path: Path
) -> None:
    first, second = write("a/guide/faq.txt", "cats"), write("b/guide/faq.txt", "dogs")
    run(tmp_path / "a")
    with pytest.raises(SourceError) as refused:
        run(tmp_path / "b", prune=True)
    assert str(refused.value) == (
        f"{second} would replace what was indexed from {first}, since both are 'guide/faq.txt' "
        "below what was given; index it with a prefix (--prefix), or, if it takes the other's "
        "place, say that it has moved (--moved)"
    )
    assert texts(index) == {"guide/faq.txt#1": "cats"}
    run(tmp_path / "b", prefix="b")
    assert texts(index) == {"guide/faq.txt#1": "cats", "b/guide/faq.txt#1": "dogs"}
    assert run(tmp_path / "a").unchanged == 1


def test_a_folder_that_was_moved_is_the_same(write: Write, run: Run, tmp_path: Path) -> None:
    write("a/faq.txt", "cats\n\ndogs")
    run(tmp_path / "a")
    (tmp_path / "a").rename(tmp_path / "moved")
    (tmp_path / "moved" / "faq.txt").write_text("cats\n\nbirds")
    summary = run(tmp_path / "moved")
    assert (summary.unchanged, summary.encoded) == (1, 1)
    write("a/faq.txt", "fish")
    with pytest.raises(SourceError, match=r"moved/faq\.txt, since both"):
        run(tmp_path / "a")


def test_a_copy_takes_the_place_of_what_it_was_copied_from_if_that_is_said(
    write: Write, run: Run, index: MemoryIndex, tmp_path: Path
) -> None:
    write("release1/faq.txt", "cats\n\ndogs")
    write("release2/faq.txt", "cats\n\nfish")
    run(tmp_path / "release1")
    summary = run(tmp_path / "release2", moved=True)
    assert (summary.unchanged, summary.encoded) == (1, 1)
    assert texts(index) == {"faq.txt#1": "cats", "faq.txt#2": "fish"}
    assert run(tmp_path / "release2").unchanged == 2


def test_a_file_is_the_same_under_every_name_that_it_has(
    write: Write, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("docs/faq.txt", "cats")
    run(tmp_path / "docs")
    (tmp_path / "link").symlink_to(tmp_path / "docs")
    monkeypatch.chdir(tmp_path / "docs")
    for name in ("faq.txt", ".", "../docs", tmp_path / "link", f"file://{tmp_path}/docs"):
        assert run(name, moved="://" in str(name)).unchanged == 1


def test_records_that_bring_their_ids_may_come_from_any_file(
    write: Write, run: Run, index: MemoryIndex, tmp_path: Path
) -> None:
    write("monday/rows.jsonl", '{"id": "a", "text": "cats"}\n{"id": "b", "text": "dogs"}\n')
    write("friday/rows.jsonl", '{"id": "a", "text": "fish"}\n')
    run(tmp_path / "monday")
    run(tmp_path / "friday" / "rows.jsonl")
    assert texts(index) == {"a": "fish", "b": "dogs"}


def test_a_file_whose_documents_are_gone_is_in_nobodys_way(
    write: Write, run: Run, index: MemoryIndex, tmp_path: Path
) -> None:
    write("a/faq.txt", "cats")
    write("b/faq.txt", "dogs")
    write("c/other.txt", "fish")
    run(tmp_path / "a")
    run(tmp_path / "c", prune=True)
    run(tmp_path / "b")
    assert texts(index) == {"other.txt#1": "fish", "faq.txt#1": "dogs"}


def test_urls_that_differ_are_two_files(run: Run, index: MemoryIndex) -> None:
    fsspec = pytest.importorskip("fsspec")
    name = os.urandom(8).hex()  # the file system is the process's
    for folder, text in (("a", "cats"), ("b", "dogs")):
        fsspec.filesystem("memory").pipe(f"/{name}/{folder}/faq.txt", text.encode())
    run(f"memory://{name}/a")
    with pytest.raises(SourceError, match=f"memory://{name}/b/faq.txt would replace"):
        run(f"memory://{name}/b/faq.txt")
    assert run(f"memory://{name}/a").unchanged == 1
    assert texts(index) == {"faq.txt#1": "cats"}
