"""Whatever comes in: one line on stderr, a meaningful exit code, and an index that is whole."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.shipped import LONGEST, WIDTH
from typer.testing import Result

from m3kit import open_index

Command = Callable[..., Result]

GOOD = '{"id": "good", "text": "a table with rows"}\n'
TO = ("--to", "index", "--model", "tiny")


@pytest.fixture
def held(run: Command) -> Callable[[], list[str]]:
    """An index with one document; says what is in it, and that it can be searched."""
    assert run("index", "-", *TO, stdin='{"id": "old", "text": "a table"}').exit_code == 0

    def held() -> list[str]:
        found = json.loads(run("search", "table", "--in", "index", "--json").stdout)
        with open_index("index") as index:
            ids = sorted(record.document.id for record in index.scan())
        assert sorted(hit["id"] for hit in found["hits"]) == ids
        return ids

    return held


def error_of(result: Result, code: int) -> str:
    """Return the one line that a command that failed has said."""
    assert result.exit_code == code, result.output
    lines = result.stderr.splitlines()
    errors = [line for line in lines if not line.startswith("warning: ")]
    assert len(errors) == 1, result.stderr
    assert errors[0].startswith("error: ")
    return errors[0].removeprefix("error: ")


def test_an_empty_file(run: Command, held: Callable[[], list[str]], tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").touch()
    result = run("index", "empty.jsonl", *TO)
    assert error_of(result, 3) == "no document in empty.jsonl"
    (tmp_path / "good.jsonl").write_text(GOOD)
    result = run("index", "empty.jsonl", "good.jsonl", *TO)
    assert result.exit_code == 0
    assert result.stderr == "warning: empty.jsonl holds no document\n"
    assert held() == ["good", "old"]


def test_an_empty_file_makes_no_index(run: Command, tmp_path: Path) -> None:
    (tmp_path / "empty.csv").touch()
    assert error_of(run("index", "empty.csv", *TO), 3) == "no document in empty.csv"
    assert not (tmp_path / "index").exists()


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ('{"id": "bad", "text": "x"', "stdin:3: not JSON: Expecting ',' delimiter at column 26"),
        ('{"id": "bad", "body": "x"}', "stdin:3: no field 'text'; the fields are id, body"),
        ('{"id": "bad", "text": "\udcfc"}', "stdin:3: not UTF-8: byte 0xfc at character 24"),
    ],
)
def test_a_bad_line(run: Command, held: Callable[[], list[str]], line: str, named: str) -> None:
    good = GOOD + '{"id": "also good", "text": "another table of numbers, in columns"}\n'
    stdin = (good + line + "\n").encode(errors="surrogateescape")
    error = error_of(run("index", "-", *TO, "--strict", stdin=stdin), 3)
    assert error.startswith(named)
    result = run("index", "-", *TO, stdin=stdin)
    assert result.exit_code == 3
    rejects = Path("index/m3kit.rejects.jsonl").resolve()
    assert result.stderr.startswith(f"warning: 1 was rejected, see {rejects}; the first: {named}")
    (reject,) = map(json.loads, rejects.read_text("utf-8").splitlines())
    assert (reject["source"], reject["line"]) == ("stdin", 3)
    assert held() == ["also good", "good", "old"]
    again = run("index", "-", *TO, stdin=good + '{"id": "bad", "text": "good now"}')
    assert again.exit_code == 0
    assert not rejects.exists()
    assert held() == ["also good", "bad", "good", "old"]


def test_an_id_that_comes_twice(run: Command, held: Callable[[], list[str]]) -> None:
    lines = [
        {"id": "a", "text": "first table"},
        {"id": "b", "text": "b"},
        {"id": "a", "text": "last"},
    ]
    result = run("index", "-", *TO, stdin="\n".join(map(json.dumps, lines)))
    assert result.exit_code == 0
    assert result.stderr == (
        "warning: ids were repeated 1 times; the last document of each replaces the others: a\n"
    )
    assert held() == ["a", "b", "old"]
    with open_index("index") as index:
        assert [record.document.text for record in index.get(["a"])] == ["last"]


def test_a_text_of_10_megabytes(
    run: Command, held: Callable[[], list[str]], tmp_path: Path
) -> None:
    text = ("table of rows" + " " * 87) * 100_000
    (tmp_path / "big.txt").write_text(text)
    result = run("index", "big.txt", *TO, "--split", "file")
    assert result.exit_code == 0
    assert f"1 of 1 texts were longer than {LONGEST} tokens and were cut" in result.stderr
    assert held() == ["big.txt", "old"]
    with open_index("index") as index:
        assert index.get(["big.txt"])[0].document.text == text.strip()


def test_a_folder_that_is_no_checkpoint(
    run: Command, held: Callable[[], list[str]], tmp_path: Path
) -> None:
    (tmp_path / "folder").mkdir()
    result = run("index", "-", "--to", "index", "--model", "./folder", stdin=GOOD)
    assert "is not a checkpoint: config.json is missing" in error_of(result, 5)
    result = run("search", "table", "--in", "index", "--model", "./no-folder")
    assert "does not exist" in error_of(result, 5)
    result = run("search", "table", "--in", "index", "--device", "abacus")
    assert "cannot load tiny on abacus" in error_of(result, 5)
    assert held() == ["old"]


@pytest.mark.parametrize("head", ["sparse_linear.pt", "colbert_linear.pt"])
def test_a_checkpoint_that_lacks_a_head(
    run: Command, held: Callable[[], list[str]], checkpoint: Path, head: str
) -> None:
    (checkpoint / head).unlink()
    result = run("index", "-", "--to", "index", "--model", str(checkpoint), stdin=GOOD)
    assert f"lacks {head}" in error_of(result, 5)
    assert held() == ["old"]


def test_an_index_made_by_another_model(
    run: Command, held: Callable[[], list[str]], checkpoint: Path
) -> None:
    config = checkpoint / "config.json"
    config.write_text(config.read_text() + " ")  # other content, so other weights for all we know
    other = ("--model", str(checkpoint))
    error = error_of(run("index", "-", "--to", "index", *other, stdin=GOOD), 4)
    assert "made by tiny@" in error
    assert "mine@" in error
    for command in (["search", "table"], ["explain", "table", "--id", "old"]):
        error = error_of(run(*command, "--in", "index", *other), 4)
        assert "made by tiny@" in error
    assert held() == ["old"]


def test_an_index_of_another_dimension(run: Command) -> None:
    with open_index("narrow", dim=8) as index:
        assert index.count() == 0
    result = run("index", "-", "--to", "narrow", "--model", "tiny", stdin=GOOD)
    error = error_of(result, 4)
    assert "8" in error
    assert str(WIDTH) in error
    result = run("search", "table", "--in", "narrow")
    assert error_of(result, 5).endswith("give the model with --model")
    result = run("search", "table", "--in", "narrow", "--model", "tiny")
    assert str(WIDTH) in error_of(result, 4)
    with open_index("narrow") as index:
        assert index.count() == 0


def test_a_folder_that_is_locked(run: Command, held: Callable[[], list[str]]) -> None:
    with open_index("index"):
        for command in (
            ["index", "-", *TO],
            ["search", "table", "--in", "index"],
            ["explain", "table", "--in", "index", "--id", "old"],
            ["info", "--in", "index"],
        ):
            assert "index" in error_of(run(*command, stdin=GOOD), 4)
    assert held() == ["old"]


def test_no_index(run: Command, tmp_path: Path) -> None:
    for command in (["search", "x"], ["explain", "x", "--id", "x"], ["info"]):
        assert "nowhere" in error_of(run(*command, "--in", "nowhere"), 4)
        assert "ftp://" in error_of(run(*command, "--in", "ftp://x/y"), 4)
        assert "localhost" in error_of(run(*command, "--in", "qdrant://localhost"), 4)
    for address in ("localhost:1/x", "localhost:1/x?grpc_port=1"):
        assert "answers" in error_of(run("info", "--in", f"qdrant://{address}"), 4)
    assert "65535" in error_of(run("info", "--in", "qdrant://localhost:99999/x"), 4)
    assert not list(tmp_path.iterdir())


def test_files_of_an_index_that_are_damaged(run: Command, held: Callable[[], list[str]]) -> None:
    assert held()
    for path in sorted(Path("index").rglob("*.json")):
        path.write_bytes(b"\0")
    result = run("search", "table", "--in", "index")
    assert error_of(result, result.exit_code)


def test_wrong_usage(run: Command, sample: Path) -> None:
    search = ("search", "x", "--in", str(sample))
    for command, named in [
        (["search"], "Missing argument"),
        (["search", "x"], "Missing option"),
        (["serach"], "No such command"),
        (["--nope"], "No such option"),
        ([*search, "--nope"], "No such option"),
        ([*search, "-k", "0"], "'-k'"),
        ([*search, "-k", "1000001"], "'-k'"),
        ([*search, "-k", "99999999999999999999"], "'-k'"),
        ([*search, "--fusion", "max"], "'max'"),
        ([*search, "--reps", "dense,lexical"], "'lexical': write some of dense,sparse,colbert"),
        ([*search, "--where", "lang"], "'lang' is no condition"),
        (["index", "-", "--to", "x", "--batch", "0"], "'--batch'"),
        (["index", "-", "--to", "x", "--batch", "99999999999999999999"], "'--batch'"),
    ]:
        error = error_of(run(*command), 2)
        assert named in error
        assert "--help`)" in error


def test_a_model_without_what_is_asked(
    run: Command, checkpoint: Path, held: Callable[[], list[str]]
) -> None:
    for head in ("sparse_linear.pt", "colbert_linear.pt"):
        (checkpoint / head).unlink()
    model = ("--model", str(checkpoint))
    assert run("index", "-", "--to", "dense", *model, stdin=GOOD).exit_code == 0
    for code, named, command in (
        (4, "mine@", ["index", "-", "--to", "index", *model]),
        (4, "holds no sparse", ["search", "x", "--in", "dense", *model, "--reps", "sparse"]),
        (5, "mine@", ["index", "-", "--to", "new", *model, "--reps", "sparse"]),
        (5, "mine@", ["encode", "-", *model, "--reps", "sparse"]),
    ):
        assert named in error_of(run(*command, stdin=GOOD), code)
    assert not Path("new").exists()
    assert held() == ["old"]


def test_the_traceback_is_for_those_who_ask(run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("M3KIT_DEBUG", "1")
    result = run("search", "x", "--in", "nowhere")
    assert "Traceback" in result.stderr
    assert result.stderr.splitlines()[-1].startswith("error: ")


def test_what_a_document_says_does_not_steer_a_terminal_through_an_error(run: Command) -> None:
    result = run("encode", "-", stdin='{"\x1b[31m": "\x9b31m"}'.replace("\x1b", "\\u001b"))
    assert "\x1b" not in error_of(result, 3)


def test_a_folder_of_somebody_else_is_left_alone(run: Command, tmp_path: Path) -> None:
    shutil.copytree(Path(__file__).parent, tmp_path / "mine", ignore=lambda *_: ["__pycache__"])
    before = sorted((tmp_path / "mine").iterdir())
    result = run("search", "x", "--in", "mine")
    assert error_of(result, 4)
    assert sorted((tmp_path / "mine").iterdir()) == before


def test_passages_without_their_splitter_name_the_extra(
    run: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "semantic_text_splitter", None)
    monkeypatch.delitem(sys.modules, "m3kit.ingest.chunking", raising=False)
    result = run("index", "-", *TO, "--chunk", "64", stdin=GOOD)
    expected = "--chunk needs semantic_text_splitter: pip install 'm3kit[ingest]'"
    assert error_of(result, 3) == expected
