"""Judgements on the disk."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from m3kit.qrels import JudgementFolder, decode_id, encode_id, qrels_line, read_line

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@given(texts, texts, st.integers(-3, 9))
def test_a_line_comes_back(query: str, document: str, grade: int) -> None:
    line = qrels_line(query, document, grade)
    assert line.count("\n") == 1
    assert read_line(line) == (query, document, grade)
    assert decode_id(encode_id(query)) == query


def test_judgements_are_trecs_qrels_beside_the_queries(tmp_path: Path) -> None:
    folder = JudgementFolder(tmp_path / "judged")
    assert folder.grades("rows?") == {}
    assert not folder.path.exists()  # nothing is written before the first judgement
    folder.judge("rows?", "a b", 1)
    folder.judge("rows?", "c", 0)
    assert folder.judge("zwei\nZeilen", "c", 1) == {"c": 1}
    assert (folder.path / "qrels.trec").read_text("utf-8") == "1 0 a%20b 1\n1 0 c 0\n2 0 c 1\n"
    assert (folder.path / "queries.jsonl").read_text("utf-8") == (
        '{"_id": "1", "text": "rows?"}\n{"_id": "2", "text": "zwei\\nZeilen"}\n'
    )
    assert sorted(path.name for path in folder.path.iterdir()) == ["qrels.trec", "queries.jsonl"]


def test_a_judgement_is_replaced_and_taken_back(tmp_path: Path) -> None:
    folder = JudgementFolder(tmp_path)
    for grade, expected in ((1, {"a": 1}), (0, {"a": 0}), (None, {})):
        assert folder.judge("rows?", "a", grade) == expected
        assert JudgementFolder(tmp_path).grades("rows?") == expected


def test_what_others_wrote_stays(tmp_path: Path) -> None:
    (tmp_path / "queries.jsonl").write_text('{"_id": "2", "text": "old"}\n\n', "utf-8")
    (tmp_path / "qrels.trec").write_text("2 0 x 3\n7 0 y 1\n", "utf-8")
    folder = JudgementFolder(tmp_path)
    folder.judge("new", "z", 1)
    assert (tmp_path / "qrels.trec").read_text("utf-8") == "2 0 x 3\n7 0 y 1\n3 0 z 1\n"
    (tmp_path / "qrels.trec").write_text("3 0 z 1\n3 0 w 0\n", "utf-8")
    assert folder.grades("new") == {"z": 1, "w": 0}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("qrels.trec", "1 0 a 1\nnonsense\n", "qrels.trec:2: not a line of qrels"),
        ("qrels.trec", "1 0 a one\n", "qrels.trec:1: not a line of qrels"),
        ("queries.jsonl", '{"id": "1"}\n', "queries.jsonl:1: not a query"),
    ],
)
def test_a_broken_file_is_named_and_left_as_it_is(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    (tmp_path / name).write_text(text, "utf-8")
    with pytest.raises(ValueError, match=message):
        JudgementFolder(tmp_path).judge("rows?", "a", 1)
    assert (tmp_path / name).read_text("utf-8") == text
