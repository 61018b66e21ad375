"""`m3kit index` as it follows its files, and `m3kit delete | list | verify`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from m3kit import open_index

Command = Callable[..., Result]

TO = ("--to", "index", "--model", "tiny", "--reps", "sparse")


def good(result: Result) -> str:
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture
def docs(run: Command, tmp_path: Path) -> Path:
    """A folder that is indexed."""
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "notes.txt").write_text("About cats.\n\nAbout dogs.\n\nAbout birds.\n")
    (folder / "more.txt").write_text("About tables.\n")
    good(run("index", "docs", *TO))
    return folder


def texts() -> dict[str, str]:
    with open_index("index") as index:
        return {record.document.id: record.document.text for record in index.scan()}


def summary(run: Command, *args: str) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(good(run("index", *args, *TO, "--json")))
    return parsed


def test_an_edited_file_is_found_once_from_wherever_it_is_indexed(
    run: Command, docs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (docs / "notes.txt").write_text("A title,\n\nAbout cats.\n\nAbout dogs.\n")
    done = summary(run, "docs")
    assert (done["encoded"], done["unchanged"], done["deleted"], done["count"]) == (3, 1, 0, 4)
    assert sorted(texts().values()) == ["A title,", "About cats.", "About dogs.", "About tables."]
    monkeypatch.chdir(docs)
    again = run("index", str(docs), *TO[2:], "--to", str(tmp_path / "index"), "--json")
    assert json.loads(good(again))["unchanged"] == 4


def test_a_file_that_is_gone_is_pruned_when_asked(run: Command, docs: Path) -> None:
    (docs / "more.txt").unlink()
    assert summary(run, "docs")["deleted"] == 0
    assert summary(run, "docs", "--prune")["deleted"] == 1
    assert "About tables." not in texts().values()


def test_another_folder_does_not_replace_a_file_of_the_same_name_unseen(
    run: Command, docs: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "notes.txt").write_text("About fish.\n")
    before = texts()
    refused = run("index", "other", *TO)
    assert (refused.exit_code, refused.stderr.count("\n")) == (3, 1)
    assert f"{other / 'notes.txt'} would replace what was indexed from {docs}" in refused.stderr
    assert texts() == before
    assert summary(run, "other", "--prefix", "other")["count"] == len(before) + 1
    docs.rename(tmp_path / "moved")
    assert summary(run, "moved")["unchanged"] == len(before)
    assert summary(run, "other", "--moved")["deleted"] == 2


def test_quiet_prints_nothing(run: Command, docs: Path) -> None:
    assert docs.exists()
    assert good(run("index", "docs", *TO, "--quiet")) == ""


def test_delete_deletes_and_the_next_run_writes_again(run: Command, docs: Path) -> None:
    assert docs.exists()
    first, *_ = sorted(texts())
    said = good(run("delete", first, "unknown", "--in", "index"))
    assert said == "deleted 1 document from index, which holds 3 now\n"
    assert first not in texts()
    assert summary(run, "docs")["encoded"] == 1
    listed = good(run("list", "--in", "index"))
    assert json.loads(good(run("delete", "-", "--in", "index", "--json", stdin=listed))) == {
        "index": "index",
        "deleted": 4,
        "count": 0,
    }
    result = run("delete", "--in", "index")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)


def test_delete_by_condition(run: Command, docs: Path) -> None:
    assert docs.exists()
    good(run("delete", "--in", "index", "--where", "source=more.txt"))
    assert set(texts().values()) == {"About cats.", "About dogs.", "About birds."}


def test_list_names_documents_and_sources(run: Command, docs: Path) -> None:
    assert docs.exists()
    assert sorted(good(run("list", "--in", "index")).split()) == sorted(texts())
    assert len(good(run("list", "--in", "index", "-n", "2")).splitlines()) == 2
    lines = good(run("list", "--in", "index", "--json")).splitlines()
    assert {json.loads(line)["text"] for line in lines} == set(texts().values())
    sources = good(run("list", "--in", "index", "--sources", "--json")).splitlines()
    assert [json.loads(line) for line in sources] == [
        {"source": "more.txt", "documents": 1},
        {"source": "notes.txt", "documents": 3},
    ]


def test_verify_tells_every_kind_of_difference(run: Command, docs: Path) -> None:
    assert json.loads(good(run("verify", "docs", "--in", "index", "--json")))["ok"]
    (docs / "notes.txt").write_text("About fish.\n\nAbout dogs.\n")
    lost, *_ = [id_ for id_, text in texts().items() if text == "About tables."]
    with open_index("index") as index:
        index.delete([lost])
    result = run("verify", "docs", "--in", "index", "--json")
    assert result.exit_code == 4
    report = json.loads(result.stdout)
    counts = {name: report[name]["count"] for name in report if name not in {"ok", "documents"}}
    assert {name: count for name, count in counts.items() if count} == {
        "missing": 1,
        "outdated": 2,
        "vanished": 1,
    }
    shown = run("verify", "--in", "index").stdout
    assert shown.splitlines()[0] == "index holds 3 documents and differs"
    assert f"1 missing: in the ledger, and not in the index: {lost}" in shown
    good(run("index", "docs", *TO))
    assert good(run("verify", "docs", "--in", "index")).endswith("is as it should be\n")


@pytest.mark.usefixtures("shelf")
def test_a_server_has_a_ledger_where_it_is_given(run: Command, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("About cats.\n")
    to = ("a.txt", "--to", "shelf://papers", "--model", "tiny")
    result = run("index", *to, "--prune")
    assert result.exit_code == 2
    assert "give the file of its ledger with --ledger" in result.stderr
    for unchanged in (0, 1):
        done = json.loads(good(run("index", *to, "--ledger", "ledger", "--prune", "--json")))
        assert done["unchanged"] == unchanged
    result = run("verify", "--in", "shelf://papers")
    assert result.exit_code == 3
    assert "has no ledger" in result.stderr
    good(run("verify", "--in", "shelf://papers", "--ledger", "ledger"))
    result = run("verify", "--in", "shelf://papers", "--ledger", "absent")
    assert "there is no such ledger" in result.stderr
