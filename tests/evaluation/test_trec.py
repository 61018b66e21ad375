"""Runs and qrels are what other tools read, and come back as they were."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import ir_measures
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from m3kit.evaluation import DatasetError, read_qrels, read_run, write_qrels, write_run
from m3kit.evaluation.trec import falling

IDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=8)
SCORES = st.floats(-1e6, 1e6, width=32)


@given(scores=st.lists(SCORES))
def test_scores_fall_strictly_and_hardly(scores: list[float]) -> None:
    ordered = sorted(scores, reverse=True)
    lowered = falling(ordered)
    assert all(first > second for first, second in pairwise(lowered))
    assert lowered == pytest.approx(ordered, rel=1e-4, abs=1e-30)


@settings(max_examples=20)
@given(ids=st.lists(IDS, unique=True, min_size=1, max_size=5), query=IDS)
def test_a_run_comes_back_in_its_order(
    tmp_path_factory: pytest.TempPathFactory, ids: list[str], query: str
) -> None:
    path = tmp_path_factory.mktemp("run") / "run.trec"
    write_run(path, {query: [(id_, 0.5) for id_ in ids]})
    assert [id_ for id_, _ in read_run(path)[query]] == ids
    qrels = {query: dict.fromkeys(ids, 1)}
    write_qrels(path, qrels)
    assert read_qrels(path) == qrels


def test_other_tools_see_the_order_of_ties(tmp_path: Path) -> None:
    path = tmp_path / "run.trec"
    write_run(path, {"q": [("a", 0.5), ("b", 0.5)]})
    measures = ir_measures.calc_aggregate(
        [ir_measures.RR],
        [ir_measures.Qrel("q", "a", 1)],
        list(ir_measures.read_trec_run(str(path))),  # type: ignore[no-untyped-call]  # theirs
    )
    assert measures[ir_measures.RR] == 1.0


def test_a_line_has_six_columns_and_rank_from_1(tmp_path: Path) -> None:
    path = tmp_path / "run.trec"
    write_run(path, {"q 1": [("a b", 0.25)]}, tag="m3")
    assert path.read_text() == "q%201 Q0 a%20b 1 0.25 m3\n"


def test_a_wrong_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "run.trec"
    path.write_text("q Q0 a 1 0.5 m3\nq Q0 b two 0.5 m3\n")
    with pytest.raises(DatasetError, match=r"run\.trec:2: not a line of a run"):
        read_run(path)
    path.write_text("q 0 a 1\nq 0 a x\n")
    with pytest.raises(DatasetError, match=r"run\.trec:2: not a line of qrels"):
        read_qrels(path)
