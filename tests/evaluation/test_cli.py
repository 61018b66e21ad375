"""`m3kit evaluate` and `m3kit compare` print what their Python says."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from m3kit.cli.app import app

Command = Callable[..., Result]


def run(*args: str | Path) -> Result:
    return CliRunner().invoke(app, list(map(str, args)), prog_name="m3kit")


def good(result: Result) -> str:
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("M3KIT_MODEL", "tiny")


def test_a_folder_is_measured(beir: Path) -> None:
    lines = good(run("evaluate", beir, "--bm25", "--to", "results")).splitlines()
    assert lines[0].startswith("manual: 5 documents, 3 queries, tiny@")
    assert lines[2].startswith("| search | nDCG@10 | R@100 | RR@10 |")
    assert len(lines) == 4 + 7
    compared = good(
        run(
            "compare",
            "results/runs/dense.trec",
            "results/runs/all.trec",
            "--qrels",
            "results/qrels.trec",
        )
    )
    assert compared.splitlines()[2].startswith("| nDCG@10 | ")


def test_json(beir: Path) -> None:
    report = json.loads(
        good(run("evaluate", beir, "--modes", "all,rrf", "--measures", "P@1", "--json"))
    )
    assert [row["name"] for row in report["rows"]] == ["all", "rrf"]
    assert list(report["rows"][0]["measures"]) == ["P@1"]
    assert (report["documents"], report["queries"], report["issues"]) == (5, 3, [])


def test_a_store_is_reached_by_its_address(beir: Path, address: str) -> None:
    lines = good(run("evaluate", beir, "--index", address, "--modes", "dense,all")).splitlines()
    assert [line.split(" | ")[0] for line in lines[4:]] == [
        "| dense",
        "| all",
        "| dense @ index",
        "| all @ index",
    ]
    assert lines[-1].endswith("| 1.000 |")
    again = good(
        run("evaluate", beir, "--index", address, "--filled", "--no-exact", "--modes", "all")
    )
    assert again.splitlines()[-1].startswith("| all @ index | ")


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["nowhere"], 3, "nowhere: there is no such folder"),
        (["beer:x"], 3, "no known collection"),
        (["manual", "--modes", "dens"], 2, "dens: write some of dense, sparse"),
        (["manual", "--policy", "duplicates=all"], 2, "duplicates=all: write unknown_documents="),
        (["manual", "--measures", "nDGC"], 3, "'nDGC' is no measure"),
    ],
)
def test_what_is_wrong_is_one_line(beir: Path, options: list[str], code: int, message: str) -> None:
    assert beir.is_dir()
    result = run("evaluate", *options)
    assert result.exit_code == code
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_the_policy_decides(beir: Path) -> None:
    with (beir / "corpus.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"_id": "rows", "text": "again"}\n')
    assert run("evaluate", beir).exit_code == 3
    result = run("evaluate", beir, "--modes", "dense", "--policy", "duplicates=first", "--json")
    assert json.loads(good(result))["issues"] == [
        {"kind": "duplicates", "count": 1, "examples": ["rows"], "decision": "first"}
    ]
    assert result.stderr == "warning: 1 documents with the id of another: rows (first)\n"
