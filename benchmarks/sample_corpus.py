"""
How well each way of searching ranks the sample corpus: nDCG@10, beside BM25.

    python benchmarks/sample_corpus.py [--model tiny]
    python benchmarks/sample_corpus.py --fusion
    python benchmarks/sample_corpus.py --to FOLDER

Every query is asked against the passages of one language, where one passage is relevant: in English
within the language, and from each other language to English. `--fusion` prints what the default
ranking was chosen by: each fusion, with ColBERT and without. `--to` writes the English part in
BEIR's layout, for `m3kit evaluate`. All is `m3kit.evaluation`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from math import nan
from pathlib import Path
from statistics import mean

from m3kit import Document
from m3kit.evaluation import MODES, Dataset, bm25_baselines, evaluate
from m3kit.evaluation.trec import read_qrels
from m3kit.torch import TorchEncoder

DATA = Path(__file__).resolve().parents[1] / "examples" / "data"
LANGUAGES = ("de", "fr", "ja", "ru", "zh")
NDCG = "nDCG@10"
COLUMNS = ("dense", "sparse", "colbert", "dense+sparse", "all", "rrf", "rrf-all")
FUSIONS = {
    "dense": ("dense", None),
    "RRF": ("rrf", "rrf-all"),
    "RRF, sparse weight 0.3": ("rrf-0.3", "rrf-0.3-all"),
    "WeightedSum, the default": ("dense+sparse", "all"),
}


def lines(name: str) -> list[dict[str, str]]:
    """Read one of the corpus's files."""
    return [json.loads(line) for line in (DATA / name).read_text(encoding="utf-8").splitlines()]


def passages(lang: str) -> list[Document]:
    """Give the passages of one language."""
    every = [Document(**line) for line in lines("corpus.jsonl")]  # type: ignore[arg-type]  # str, str, dict
    return [document for document in every if document.metadata["lang"] == lang]


def collection(lang: str = "en", languages: Collection[str] = ("en", *LANGUAGES)) -> Dataset:
    """Give the passages of one language as a test collection, with the queries of some."""
    documents = passages(lang)
    qrels = read_qrels(DATA / "qrels.tsv")
    return Dataset(
        name=f"sample corpus, {lang}",
        documents=lambda: iter(documents),
        queries={
            query["id"]: query["text"]
            for query in lines("queries.jsonl")
            if query["lang"] in languages
        },
        qrels={
            query: {f"{section}.{lang}": grade for section, grade in grades.items()}
            for query, grades in qrels.items()
            if query.partition("-")[0] in languages
        },
        measures=(NDCG,),
    )


def write_beir(folder: Path) -> None:
    """Write the English passages and queries in BEIR's layout."""
    dataset = collection(languages=["en"])
    corpus = (
        {"_id": document.id, "text": document.text, "metadata": document.metadata}
        for document in dataset.documents()
    )
    queries = ({"_id": query, "text": text} for query, text in dataset.queries.items())
    qrels = ["query-id\tcorpus-id\tscore"]
    qrels += [
        f"{query}\t{document}\t{grade}"
        for query, grades in dataset.qrels.items()
        for document, grade in grades.items()
    ]
    (folder / "qrels").mkdir(parents=True, exist_ok=True)
    for name, rows in (("corpus", corpus), ("queries", queries)):
        written = "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(written, encoding="utf-8")
    (folder / "qrels" / "test.tsv").write_text("\n".join(qrels) + "\n", encoding="utf-8")


def by_language(values: Mapping[str, float]) -> dict[str, float]:
    """Take the mean of each language's queries, and under `other` that of all but English."""
    of: dict[str, list[float]] = {}
    for query, value in values.items():
        of.setdefault(query.partition("-")[0], []).append(value)
    means = {lang: mean(of_language) for lang, of_language in of.items()}
    others = [means[lang] for lang in LANGUAGES if lang in means]
    return {**means, "other": mean(others) if others else nan}


def ranking(encoder: TorchEncoder) -> list[str]:
    """Measure every mode and BM25, as the README shows them."""
    report = evaluate(
        encoder,
        collection(),
        modes=[MODES[name] for name in COLUMNS],
        k=10,
        baselines=bm25_baselines(encoder),
    )
    counts = {
        lang: sum(query.startswith(lang) for query in report.qrels) for lang in ("en", *LANGUAGES)
    }
    names = {lang: f"{lang} ({count})" for lang, count in counts.items()}
    figures = {row.name: by_language(row.values[NDCG]) for row in report.rows}
    return [
        f"nDCG@10 over {report.documents} English passages, {encoder.model}",
        _line(["queries", *figures]),
        f"|---|{'---:|' * len(figures)}",
        *(
            _line([name, *(f"{values[lang]:.3f}" for values in figures.values())])
            for lang, name in {**names, "other": "other than en, mean"}.items()
        ),
    ]


def fusions(encoder: TorchEncoder) -> list[str]:
    """Measure each fusion with and without ColBERT: English queries / the mean of the others."""
    wanted = dict.fromkeys(name for pair in FUSIONS.values() for name in pair if name)
    report = evaluate(encoder, collection(), modes=[MODES[name] for name in wanted], k=10)

    def cell(name: str | None) -> str:
        if name is None:
            return ""
        means = by_language(report[name].values[NDCG])
        return f"{means['en']:.3f} / {means['other']:.3f}"

    return [
        f"nDCG@10, {report.documents} English passages, {encoder.model}: English / other queries",
        _line(["fusion", "without ColBERT", "with ColBERT"]),
        "|---|---:|---:|",
        *(_line([title, *map(cell, pair)]) for title, pair in FUSIONS.items()),
    ]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--fusion", action="store_true", help="compare the fusions")
    parser.add_argument("--to", type=Path, metavar="FOLDER", help="write it in BEIR's layout")
    options = parser.parse_args()
    if options.to:
        write_beir(options.to)
        return
    measured: Callable[[TorchEncoder], list[str]] = fusions if options.fusion else ranking
    print(*measured(TorchEncoder.from_pretrained(options.model)), sep="\n")


if __name__ == "__main__":
    main()
