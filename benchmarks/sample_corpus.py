"""
The quality of each kind of search on the sample corpus: nDCG@10, beside BM25.

    python benchmarks/sample_corpus.py [--model tiny]

Every query searches the passages of one language, where one passage is relevant: in English
within the language, and from each other language to English. BM25 is bm25s with its English
stop words. Metrics are computed by ir-measures.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path
from typing import TypeAlias

import bm25s
import ir_measures
from ir_measures import Qrel, ScoredDoc, nDCG

from m3kit import (
    REPS,
    RRF,
    ColbertStorage,
    Document,
    Encoder,
    Fusion,
    MemoryIndex,
    Record,
    Rep,
    Search,
    WeightedSum,
)
from m3kit.torch import TorchEncoder

DATA = Path(__file__).resolve().parents[1] / "examples" / "data"
LANGUAGES = ("de", "fr", "ja", "ru", "zh")
Query: TypeAlias = dict[str, str]
Run: TypeAlias = Callable[[Sequence[Query]], list[ScoredDoc]]


def lines(name: str) -> list[dict[str, str]]:
    """Read one of the corpus's files."""
    return [json.loads(line) for line in (DATA / name).read_text(encoding="utf-8").splitlines()]


def passages(lang: str) -> list[Document]:
    """Give the passages of one language."""
    every = [Document(**line) for line in lines("corpus.jsonl")]  # type: ignore[arg-type]  # str, str, dict
    return [document for document in every if document.metadata["lang"] == lang]


def relevant(lang: str) -> list[Qrel]:
    """Give what is relevant among the passages of one language."""
    rows = [
        line.split("\t") for line in (DATA / "qrels.tsv").read_text(encoding="utf-8").split("\n")
    ]
    return [Qrel(row[0], f"{row[1]}.{lang}", int(row[2])) for row in rows if len(row) == 3]


def bm25(documents: Sequence[Document]) -> Run:
    """Search by BM25."""
    ids = [document.id for document in documents]
    index = bm25s.BM25()
    texts = [document.text for document in documents]
    index.index(bm25s.tokenize(texts, stopwords="en", show_progress=False), show_progress=False)

    def run(queries: Sequence[Query]) -> list[ScoredDoc]:
        tokens = bm25s.tokenize(
            [query["text"] for query in queries], stopwords="en", show_progress=False
        )
        rows, scores = index.retrieve(tokens, k=100, show_progress=False)
        return [
            ScoredDoc(query["id"], ids[place], float(score))
            for query, places, query_scores in zip(queries, rows, scores, strict=True)
            for place, score in zip(places, query_scores, strict=True)
        ]

    return run


def m3(
    encoder: Encoder,
    documents: Sequence[Document],
    colbert: ColbertStorage = ColbertStorage(),  # noqa: B008  # frozen, so one default serves all
) -> dict[str, Run]:
    """Search by each representation, and by all of them fused in both ways."""
    index = MemoryIndex(encoder.dim, colbert=colbert)
    outputs = encoder.encode_documents([document.text for document in documents])
    index.upsert([Record(*pair) for pair in zip(documents, outputs, strict=True)])

    def run(queries: Sequence[Query], *, reps: Collection[Rep], fusion: Fusion) -> list[ScoredDoc]:
        encoded = encoder.encode_queries([query["text"] for query in queries], reps)
        return [
            ScoredDoc(query["id"], hit.document.id, hit.score)
            for query, output in zip(queries, encoded, strict=True)
            for hit in index.search(Search(query=output, k=100, fusion=fusion))
        ]

    runs: dict[str, Run] = {rep: partial(run, reps=[rep], fusion=RRF()) for rep in REPS}
    runs["rrf"] = partial(run, reps=["dense", "sparse"], fusion=RRF())
    runs["rrf, colbert"] = partial(run, reps=REPS, fusion=RRF())
    runs["weighted"] = partial(run, reps=REPS, fusion=WeightedSum())
    return runs


def measure(run: Run, queries: Sequence[Query], qrels: Sequence[Qrel]) -> float:
    """Compute nDCG@10 over the queries."""
    ids = {query["id"] for query in queries}
    judged = [qrel for qrel in qrels if qrel.query_id in ids]
    return float(ir_measures.calc_aggregate([nDCG @ 10], judged, run(queries))[nDCG @ 10])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("--model", default="tiny")
    encoder = TorchEncoder.from_pretrained(parser.parse_args().model)
    logging.getLogger("bm25s").setLevel(logging.ERROR)
    english, qrels = passages("en"), relevant("en")
    runs = {"bm25": bm25(english), **m3(encoder, english)}
    queries: dict[str, list[Query]] = {lang: [] for lang in ("en", *LANGUAGES)}
    for query in lines("queries.jsonl"):
        queries[query["lang"]].append(query)
    print(f"nDCG@10 over {len(english)} English passages, {encoder.model}")
    print("| queries | " + " | ".join(runs) + " |")
    print("|---|" + "---:|" * len(runs))
    table = {
        lang: [measure(run, of_lang, qrels) for run in runs.values()]
        for lang, of_lang in queries.items()
    }
    for lang, row in table.items():
        print(
            f"| {lang} ({len(queries[lang])}) | "
            + " | ".join(f"{score:.3f}" for score in row)
            + " |"
        )
    means = [sum(table[lang][n] for lang in LANGUAGES) / len(LANGUAGES) for n in range(len(runs))]
    print("| other than en, mean | " + " | ".join(f"{mean:.3f}" for mean in means) + " |")


if __name__ == "__main__":
    main()
