"""The model and the ways of searching rank the sample corpus as well as the README says."""

from __future__ import annotations

import json
import re
from itertools import chain
from pathlib import Path

import pytest
from benchmarks.sample_corpus import (
    DATA,
    FUSIONS,
    LANGUAGES,
    NDCG,
    by_language,
    collection,
    lines,
)

from m3kit import Document, M3Output, MemoryIndex, Retriever, Search, Sparse, WeightedSum
from m3kit.evaluation import MODES, Report, bm25_baselines, evaluate
from m3kit.torch import TorchEncoder

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
GUIDE = (ROOT / "docs" / "evaluate.md").read_text(encoding="utf-8")


def table_row(lang: str) -> dict[str, float]:
    """Read a row of the README's table."""
    (header,) = re.findall(r"^\| queries \| (.*) \|$", README, re.MULTILINE)
    (row,) = re.findall(rf"^\| {lang} \(\d+\) \| (.*) \|$", README, re.MULTILINE)
    return dict(zip(header.split(" | "), map(float, row.split(" | ")), strict=True))


@pytest.fixture(scope="module")
def encoder() -> TorchEncoder:
    return TorchEncoder.from_pretrained("tiny")


@pytest.fixture(scope="module")
def report(encoder: TorchEncoder) -> Report:
    modes = [MODES[name] for name in dict.fromkeys(filter(None, chain(*FUSIONS.values())))]
    return evaluate(encoder, collection(), modes=modes, baselines=bm25_baselines(), k=10)


def test_hybrid_is_above_bm25_in_english_and_finds_across_languages(report: Report) -> None:
    shown = ("bm25", "dense", "dense+sparse", "all", "rrf", "rrf-all")
    means = {name: by_language(report[name].values[NDCG]) for name in shown}
    for lang in ("en", *LANGUAGES):
        for name in shown:
            assert means[name][lang] == pytest.approx(table_row(lang)[name], abs=0.005)
        floor = means["bm25"][lang] + 0.05 if lang == "en" else 0.6
        assert min(means["all"][lang], means["dense+sparse"][lang]) > floor


def test_the_default_is_what_the_evaluation_says(report: Report) -> None:
    for title, names in FUSIONS.items():
        (row,) = re.findall(rf"^\| {title} \| ([\d.]+ / .*) \|$", GUIDE, re.MULTILINE)
        for name, cell in zip(names, row.split(" | "), strict=True):
            if name is not None:
                means = by_language(report[name].values[NDCG])
                expected = [float(figure) for figure in cell.split(" / ")]
                assert [means["en"], means["other"]] == pytest.approx(expected, abs=0.005)
    values = [report[name].values[NDCG] for name in ("rrf", "dense+sparse")]
    rrf, weighted = (by_language(of)["other"] for of in values)
    assert rrf < weighted - 0.02
    assert Search(query=M3Output(sparse=Sparse.from_dict({}))).fusion == WeightedSum()


def test_the_demos_queries_find_their_section_first(encoder: TorchEncoder) -> None:
    rows = (DATA / "corpus.jsonl").read_text(encoding="utf-8").splitlines()
    retriever = Retriever(encoder, MemoryIndex(encoder.dim))
    retriever.add(Document(**json.loads(row)) for row in rows)
    for query in lines("demo_queries.jsonl"):
        (hit, *_) = retriever.search(query["text"])
        assert hit.document.metadata["section"] == query["expect"]
