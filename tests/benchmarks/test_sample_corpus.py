"""The model and the ways of searching rank the sample corpus as well as the README says."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from benchmarks.sample_corpus import DATA, LANGUAGES, NDCG, by_language, collection, lines

from m3kit import Document, MemoryIndex, Retriever
from m3kit.evaluation import MODES, bm25_baselines, evaluate
from m3kit.torch import TorchEncoder

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def said(lang: str) -> dict[str, float]:
    """Read a row of the README's table."""
    (header,) = re.findall(r"^\| queries \| (.*) \|$", README, re.MULTILINE)
    (row,) = re.findall(rf"^\| {lang} \(\d+\) \| (.*) \|$", README, re.MULTILINE)
    return dict(zip(header.split(" | "), map(float, row.split(" | ")), strict=True))


@pytest.fixture(scope="module")
def encoder() -> TorchEncoder:
    return TorchEncoder.from_pretrained("tiny")


def test_hybrid_is_above_bm25_in_english_and_finds_across_languages(encoder: TorchEncoder) -> None:
    shown = ("dense+sparse", "all", "rrf")
    report = evaluate(
        encoder,
        collection(),
        modes=[MODES[name] for name in shown],
        baselines=bm25_baselines(),
        k=10,
    )
    means = {name: by_language(report[name].values[NDCG]) for name in ("bm25", *shown)}
    for lang in ("en", *LANGUAGES):
        for name in ("bm25", *shown):
            assert means[name][lang] == pytest.approx(said(lang)[name], abs=0.005), (lang, name)
        floor = means["bm25"][lang] + 0.05 if lang == "en" else 0.6
        assert min(means["all"][lang], means["dense+sparse"][lang]) > floor
    assert means["rrf"]["other"] < means["dense+sparse"]["other"] - 0.25, (
        "why it is not the default"
    )


def test_the_demos_queries_find_their_section_first(encoder: TorchEncoder) -> None:
    rows = (DATA / "corpus.jsonl").read_text(encoding="utf-8").splitlines()
    retriever = Retriever(encoder, MemoryIndex(encoder.dim))
    retriever.add(Document(**json.loads(row)) for row in rows)
    for query in lines("demo_queries.jsonl"):
        (hit, *_) = retriever.search(query["text"])
        assert hit.document.metadata["section"] == query["expect"]
