"""The test collections that the model is measured by; nothing of them is trained on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import fmean

from training.tiny.collection import Entry, Split, held_out

from m3kit.encoder import Encoder
from m3kit.evaluation import MODES, Dataset, bm25_baselines, evaluate
from m3kit.records import Document

COLUMNS = ("dense", "sparse", "colbert", "all")
MONOLINGUAL = ("de", "ja", "ru")


def heading_task(entries: Sequence[Entry], queries: Iterable[str], passage: str) -> Dataset:
    """Return headings in some languages as queries, and the sections of another as passages."""
    texts = {
        entry.id: entry.sections[passage].text for entry in entries if passage in entry.sections
    }
    titles = {
        f"{lang}:{entry.id}": (entry.titles[lang], entry.id)
        for lang in queries
        for entry in entries
        if lang in entry.titles and entry.id in texts
    }
    return make_dataset(
        passage,
        texts,
        {query: title for query, (title, _) in titles.items()},
        {query: [id_] for query, (_, id_) in titles.items()},
    )


def long_task(entries: Iterable[Entry], split: Split) -> Dataset:
    """Return headings of the handbook as queries, and its whole pages as documents."""
    handbook = [entry for entry in entries if entry.source == "handbook"]
    pages: dict[str, list[str]] = {}
    for entry in handbook:
        pages.setdefault(entry.page, []).append(entry.sections["en"].text)
    queries = {entry.id: entry.titles["en"] for entry in handbook if entry.split == split}
    answers = {entry.id: [entry.page] for entry in handbook}
    texts = {page: "\n".join(parts) for page, parts in pages.items()}
    return make_dataset("handbook", texts, queries, answers)


def measure(
    encoder: Encoder, dataset: Dataset, *, bm25: bool = False
) -> dict[str, dict[str, float]]:
    """Return nDCG@10 of each way of searching, for each query."""
    report = evaluate(
        encoder,
        dataset,
        modes=[MODES[name] for name in COLUMNS],
        measures=["nDCG@10"],
        k=10,
        candidates=100,
        baselines={"bm25": bm25_baselines()["bm25"]} if bm25 else None,
    )
    return {row.name: dict(row.values["nDCG@10"]) for row in report.rows}


def means(values: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Return the mean over all queries, by way of searching."""
    return {name: fmean(by_query.values()) for name, by_query in values.items()}


def measure_help(
    encoder: Encoder, entries: Sequence[Entry], split: Split = "test", *, bm25: bool = False
) -> dict[str, dict[str, float]]:
    """Return nDCG@10 within English, from the other languages to English, and within others."""
    chosen = held_out(list(entries), split)
    langs = sorted({lang for entry in chosen for lang in entry.sections})
    to_english = measure(encoder, heading_task(chosen, langs, "en"), bm25=bm25)
    within = [
        measure(encoder, heading_task(chosen, [lang], lang), bm25=bm25) for lang in MONOLINGUAL
    ]
    return {
        "English": _mean_of([to_english], ["en"]),
        "nine languages to English": _mean_of(
            [to_english], [lang for lang in langs if lang != "en"]
        ),
        "German, Japanese, Russian": _mean_of(within, MONOLINGUAL),
    }


def _mean_of(
    measured: Sequence[Mapping[str, Mapping[str, float]]], langs: Sequence[str]
) -> dict[str, float]:
    """Return the mean over languages of the mean over the queries of each."""
    by_language: dict[str, dict[str, list[float]]] = {}
    for values in measured:
        for name, by_query in values.items():
            for query, value in by_query.items():
                lang = query.partition(":")[0]
                by_language.setdefault(name, {}).setdefault(lang, []).append(value)
    return {
        name: fmean(fmean(values[lang]) for lang in langs) for name, values in by_language.items()
    }


def make_dataset(
    name: str,
    texts: Mapping[str, str],
    queries: Mapping[str, str],
    answers: Mapping[str, Iterable[str]],
) -> Dataset:
    """Return a test collection in memory."""

    def documents() -> Iterator[Document]:
        return (Document(id_, text) for id_, text in texts.items())

    return Dataset(
        name=name,
        documents=documents,
        queries=queries,
        qrels={query: dict.fromkeys(answers[query], 1) for query in queries},
    )
