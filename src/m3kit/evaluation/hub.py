"""
Test collections by name, from the Hugging Face hub: needs `datasets`, and a network once.

    beir:NAME     mteb/NAME (corpus, queries, default), BEIR's collections without loading scripts
    miracl:LANG   miracl/miracl-corpus, and topics and qrels of miracl/miracl (gated: log in first)
    mldr:LANG     Shitao/MLDR
    mkqa:LANG     MKQA_test-data.zip of Shitao/bge-m3-data, over the corpus of mteb/nq
    narrativeqa   deepmind/narrativeqa

Repositories with a loading script, which `datasets` 4 no longer runs, are read by their files.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from m3kit.evaluation.dataset import Dataset, DatasetError
from m3kit.evaluation.folders import LONG, MKQA_MEASURES, judgements, narrative, tab_separated
from m3kit.evaluation.rows import Row, document, id_of, text_lines
from m3kit.evaluation.trec import read_qrels
from m3kit.records import Document

Load: TypeAlias = Callable[..., Iterable[Row]]
"""`datasets.load_dataset`, or what stands in for it."""

Download: TypeAlias = Callable[..., str]
"""`huggingface_hub.hf_hub_download`, or what stands in for it."""


def load_dataset(
    name: str,
    *,
    split: str | None = None,
    load: Load | None = None,
    download: Download | None = None,
) -> Dataset:
    """
    Describe a published test collection: `beir:scifact`, `miracl:de`, `mldr:en`, `narrativeqa`.

    Args:
        name: The collection, and after a colon its part or language.
        split: By default `"dev"` for MIRACL, else `"test"`.
        load: By default `datasets.load_dataset`, which keeps what it loads on the disk.
        download: By default `huggingface_hub.hf_hub_download`.

    Raises:
        DatasetError: If the name is not known, or `datasets` is not installed.
    """
    collection, _, part = name.partition(":")

    def hub() -> _Hub:
        return _Hub(load or _load_dataset(), download or _hf_hub_download())

    match collection, part:
        case "beir", part if part:
            return hub().beir(part, split or "test")
        case "miracl", part if part:
            return hub().miracl(part, split or "dev")
        case "mldr", part if part:
            return hub().mldr(part, split or "test")
        case "mkqa", part if part:
            return hub().mkqa(part)
        case "narrativeqa", _:
            return hub().narrativeqa(split or "test")
        case _:
            raise DatasetError(
                f"{name!r} is no known collection; write beir:NAME, miracl:LANG, mldr:LANG, "
                "mkqa:LANG, narrativeqa, or the path of a folder"
            )


class _Hub:
    """The repositories of the collections, read by `datasets`."""

    def __init__(self, load: Load, download: Download) -> None:
        self._load = load
        self._download = partial(download, repo_type="dataset")

    def beir(self, part: str, split: str) -> Dataset:
        corpus = partial(self._load, f"mteb/{part}", "corpus", split="corpus")
        queries = self._load(f"mteb/{part}", "queries", split="queries")
        qrels: dict[str, dict[str, int]] = {}
        for row in self._load(f"mteb/{part}", "default", split=split):
            qrels.setdefault(str(row["query-id"]), {})[str(row["corpus-id"])] = int(row["score"])
        return Dataset(
            name=f"beir:{part}",
            documents=partial(_documents, corpus, " "),
            queries={
                id_: str(row["text"]) for row in queries if (id_ := id_of(row, part)) in qrels
            },
            qrels=qrels,
            keep_query_id=part not in {"arguana", "quora"},
        )

    def miracl(self, lang: str, split: str) -> Dataset:
        stem, folder = f"miracl-v1.0-{lang}-{split}.tsv", f"miracl-v1.0-{lang}"
        topics = self._download("miracl/miracl", f"{folder}/topics/topics.{stem}")
        qrels = self._download("miracl/miracl", f"{folder}/qrels/qrels.{stem}")
        corpus = self._files("miracl/miracl-corpus", f"miracl-corpus-v1.0-{lang}/*.jsonl.gz")
        return Dataset(
            name=f"miracl:{lang}",
            documents=partial(_documents, corpus, "\n"),
            queries=dict(tab_separated(line) for _, line in text_lines(Path(topics))),
            qrels=read_qrels(Path(qrels)),
        )

    def mldr(self, lang: str, split: str) -> Dataset:
        judged = list(
            judgements(self._files("Shitao/MLDR", f"mldr-v1.0-{lang}/{split}.jsonl.gz")())
        )
        corpus = self._files("Shitao/MLDR", f"mldr-v1.0-{lang}/corpus.jsonl.gz")
        return Dataset(
            name=f"mldr:{lang}",
            documents=partial(_documents, corpus, " "),
            queries={query: text for query, text, _ in judged},
            qrels={query: grades for query, _, grades in judged},
            weights=LONG,
        )

    def mkqa(self, lang: str) -> Dataset:
        path = self._download("Shitao/bge-m3-data", "MKQA_test-data.zip")
        rows = list(_zipped(Path(path), f"{lang}.jsonl"))
        return Dataset(
            name=f"mkqa:{lang}",
            documents=partial(
                _documents, partial(self._load, "mteb/nq", "corpus", split="corpus"), " "
            ),
            queries={id_of(row, lang): str(row["question"]) for row in rows},
            answers={id_of(row, lang): list(row["answers"]) for row in rows},
            measures=MKQA_MEASURES,
        )

    def narrativeqa(self, split: str) -> Dataset:
        return narrative(partial(self._load, "deepmind/narrativeqa", split=split))

    def _files(self, repository: str, pattern: str) -> Callable[[], Iterable[Row]]:
        files = f"hf://datasets/{repository}/{pattern}"
        return partial(self._load, "json", data_files=files, split="train")


def _documents(rows: Callable[[], Iterable[Row]], separator: str) -> Iterator[Document]:
    return (document(row, separator, "the corpus") for row in rows())


def _zipped(path: Path, name: str) -> Iterator[Mapping[str, Any]]:
    with zipfile.ZipFile(path) as archive:
        members = [member for member in archive.namelist() if member.rpartition("/")[2] == name]
        if not members:
            raise DatasetError(f"{path.name} has no {name}; the languages are those of MKQA")
        for line in archive.read(members[0]).decode().splitlines():
            if line:
                yield json.loads(line)


def _load_dataset() -> Load:
    try:
        import datasets
    except ModuleNotFoundError as error:
        raise DatasetError(
            "a collection by name needs datasets, which is not installed: pip install datasets"
        ) from error
    load: Load = datasets.load_dataset
    return load


def _hf_hub_download() -> Download:
    try:
        from huggingface_hub import hf_hub_download
    except ModuleNotFoundError as error:
        raise DatasetError(
            "a collection by name needs huggingface-hub, which is not installed: "
            "pip install huggingface-hub"
        ) from error
    return hf_hub_download
