"""`m3kit mine`, `score` and `pretrain`: files in, files out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

pytest.importorskip("accelerate", reason="the extra `train` is not installed")

from m3kit.cli.exit_codes import Code
from m3kit.torch import TorchEncoder
from m3kit.training import MiningOptions, from_examples, mine, read_examples

Command = Callable[..., Result]


@pytest.fixture
def passages(corpus: list[dict[str, Any]]) -> Path:
    path = Path("passages.jsonl")
    path.write_text("".join(json.dumps(row) + "\n" for row in corpus), "utf-8")
    return path


@pytest.fixture
def queries() -> Path:
    path = Path("train.jsonl")
    path.write_text(json.dumps({"query": "insert a row", "pos": ["Rows are inserted."]}) + "\n")
    return path


def lines(path: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text("utf-8").splitlines()]


OPTIONS = ("--model", "tiny", "--to", "mined.jsonl", "--range", "1-8", "--negatives", "3")


def test_it_writes_what_python_mines(
    run: Command, passages: Path, queries: Path, corpus: list[dict[str, Any]]
) -> None:
    from m3kit.records import Document

    result = run("mine", str(passages), "--queries", str(queries), *OPTIONS)
    assert result.exit_code == 0, result.output
    assert result.stdout == "wrote 1 examples to mined.jsonl\n"
    documents = [Document(row["id"], row["text"]) for row in corpus]
    (expected,) = mine(
        from_examples(read_examples(queries)),
        TorchEncoder.from_pretrained("tiny"),
        lambda: documents,
        MiningOptions(first=1, last=8, negatives=3),
    )
    assert lines("mined.jsonl") == [
        {"query": "insert a row", "pos": ["Rows are inserted."], "neg": list(expected.neg)}
    ]


def test_an_index_is_searched(run: Command, sample: Path, queries: Path, passages: Path) -> None:
    result = run("mine", "--in", str(sample), "--queries", str(queries), *OPTIONS)
    assert result.exit_code == 0, result.output
    through = lines("mined.jsonl")
    assert run("mine", str(passages), "--queries", str(queries), *OPTIONS).exit_code == 0
    assert lines("mined.jsonl") == through


def test_queries_are_headings(run: Command) -> None:
    Path("guide.md").write_text("# Print\n\nChoose File.\n\n# Rows\n\nChoose Insert.\n")
    result = run("mine", "guide.md", "--from", "headings", *OPTIONS[:-4], "--range", "0-5")
    assert result.exit_code == 0, result.output
    assert "2 of them have fewer than 15 negatives" in result.stdout
    mined = lines("mined.jsonl")
    assert [line["query"] for line in mined] == ["Print", "Rows"]
    assert [line["pos"] for line in mined] == [["Choose File."], ["Choose Insert."]]
    assert "Choose Insert." in mined[0]["neg"][0]


def test_queries_are_spans(run: Command) -> None:
    Path("a.txt").write_text("Open it. Print it. Close it.\n\nOne. Two.\n")
    result = run("mine", "a.txt", "--from", "spans", *OPTIONS[:-4], "--range", "0-5")
    assert result.exit_code == 0, result.output
    assert len(lines("mined.jsonl")) == 2


@pytest.mark.usefixtures("queries")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--queries", "train.jsonl", "--margin", "1"], "needs --reranker"),
        ([], "give either --queries or --from"),
        (["--queries", "train.jsonl", "--range", "5"], "--range"),
        (["--queries", "train.jsonl", "--range", "9-3"], "ranks go up"),
        (["--queries", "train.jsonl", "--mode", "bm25"], "write one of dense"),
    ],
)
def test_bad_options_are_told_before_a_model_is_loaded(
    run: Command, passages: Path, arguments: list[str], message: str
) -> None:
    result = run("mine", str(passages), "--to", "m.jsonl", "--model", "none", *arguments)
    assert result.exit_code == Code.USAGE
    assert message in result.stderr


def test_a_bad_line_names_file_and_line(run: Command, passages: Path) -> None:
    Path("bad.jsonl").write_text('{"query": "q", "pos": ["p"]}\n{"query": "q"}\n')
    result = run("mine", str(passages), "--queries", "bad.jsonl", *OPTIONS)
    assert result.exit_code == Code.INPUT
    assert "bad.jsonl:2 has no positive passage" in result.stderr
    assert not Path("mined.jsonl").exists()


def test_a_teacher_scores_examples(run: Command, queries: Path, tmp_path: Path) -> None:
    from tests.torch.random_reranker import write_reranker

    reranker = write_reranker(tmp_path / "reranker")
    result = run("score", str(queries), "--to", "scored.jsonl", "--reranker", str(reranker))
    assert result.exit_code == 0, result.output
    (line,) = lines("scored.jsonl")
    assert len(line["pos_scores"]) == 1


def test_a_model_is_pre_trained(run: Command, passages: Path) -> None:
    result = run(
        "pretrain", str(passages), "--to", "model", "--model", "tiny",
        "--positions", "8192", "--max-length", "64", "--max-steps", "2",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert TorchEncoder.from_pretrained("model").document_max_length == 8192
