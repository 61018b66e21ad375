from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from m3kit.training import Example, read_examples, score, to_line, write_examples


def lengths(_: str, texts: Sequence[str]) -> list[float]:
    return [float(len(text)) for text in texts]


def test_each_passage_gets_its_score() -> None:
    example = Example("q", ["aa", "a"], ["bbb"], pos_scores=[9, 9], prompt="find: ")
    (scored,) = score([example], lengths)
    assert (scored.pos_scores, scored.neg_scores) == ([2.0, 1.0], [3.0])
    assert scored.prompt == "find: "


def test_a_score_that_is_no_number_is_an_error() -> None:
    with pytest.raises(ValueError, match="is not a number"):
        list(score([Example("q", ["a"])], lambda _, texts: [float("nan")] * len(texts)))


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    examples = [
        Example("q", ["ä\n"], ["b"], [1.5], [0.5], "prompt", "only_1neg"),
        Example("r", ["c"], [], [], []),
    ]
    path = tmp_path / "train.jsonl"
    assert write_examples(path, examples) == 2
    assert list(read_examples(path)) == examples
    assert json.loads(to_line(examples[1])) == {"query": "r", "pos": ["c"], "neg": []}


def test_an_error_leaves_no_file(tmp_path: Path) -> None:
    def failing(*_: object) -> list[float]:
        raise RuntimeError("no teacher")

    with pytest.raises(RuntimeError, match="no teacher"):
        write_examples(tmp_path / "out.jsonl", score([Example("q", ["a"])], failing))
    assert list(tmp_path.iterdir()) == []
