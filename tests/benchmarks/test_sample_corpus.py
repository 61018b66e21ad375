"""The model and the ways of searching rank the sample corpus as well as the README says."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from benchmarks.sample_corpus import DATA, LANGUAGES, bm25, lines, m3, measure, passages, relevant

from m3kit import Document, MemoryIndex, Retriever
from m3kit.torch import TorchEncoder

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def said(lang: str) -> list[float]:
    """Read a row of the README's table."""
    (row,) = re.findall(rf"^\| {lang} \(\d+\) \| (.*) \|$", README, re.MULTILINE)
    return [float(cell) for cell in row.split(" | ")]


@pytest.fixture(scope="module")
def encoder() -> TorchEncoder:
    return TorchEncoder.from_pretrained("tiny")


def test_hybrid_is_above_bm25_in_english_and_finds_across_languages(encoder: TorchEncoder) -> None:
    english, qrels, queries = passages("en"), relevant("en"), lines("queries.jsonl")
    hybrids = [m3(encoder, english)[name] for name in ("rrf, colbert", "weighted")]
    same = [query for query in queries if query["lang"] == "en"]
    floor = measure(bm25(english), same, qrels)
    assert floor == pytest.approx(said("en")[0], abs=0.005)
    for lang in ("en", *LANGUAGES):
        asked = [query for query in queries if query["lang"] == lang]
        found = [measure(hybrid, asked, qrels) for hybrid in hybrids]
        assert found == pytest.approx(said(lang)[-2:], abs=0.005)
        assert min(found) > (floor + 0.05 if lang == "en" else 0.6)


def test_the_demos_queries_find_their_section_first(encoder: TorchEncoder) -> None:
    rows = (DATA / "corpus.jsonl").read_text(encoding="utf-8").splitlines()
    retriever = Retriever(encoder, MemoryIndex(encoder.dim))
    retriever.add(Document(**json.loads(row)) for row in rows)
    for query in lines("demo_queries.jsonl"):
        (hit, *_) = retriever.search(query["text"])
        assert hit.document.metadata["section"] == query["expect"]
