"""Collections are read in the layouts that they are published in."""

from __future__ import annotations

import gzip
import json
import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.evaluation.conftest import CORPUS, QRELS, QUERIES, write_lines

from m3kit.evaluation import Dataset, DatasetError, load_dataset, read_folder
from m3kit.fusion import WeightedSum

BINARY = {query: {d: int(grade > 0) for d, grade in of.items()} for query, of in QRELS.items()}


def miracl(folder: Path) -> None:
    corpus = [{"docid": id_, "title": title, "text": text} for id_, (title, text) in CORPUS.items()]
    for part, rows in enumerate((corpus[:2], corpus[2:])):
        packed(folder / f"miracl-corpus-v1.0-de/docs-{part}.jsonl.gz", rows)
    topics = "".join(f"{query}\t{text}\n" for query, text in QUERIES.items())
    qrels = "".join(f"{q}\tQ0\t{d}\t{grade}\n" for q, g in QRELS.items() for d, grade in g.items())
    for kind, text in (("topics", topics), ("qrels", qrels)):
        path = folder / f"miracl-v1.0-de/{kind}/{kind}.miracl-v1.0-de-dev.tsv"
        path.parent.mkdir(parents=True)
        path.write_text(text, encoding="utf-8")


def mldr(folder: Path) -> None:
    corpus = [{"docid": id_, "text": text} for id_, (_, text) in CORPUS.items()]
    packed(folder / "mldr-v1.0-en/corpus.jsonl.gz", corpus)
    rows = [
        {
            "query_id": query,
            "query": text,
            "positive_passages": [{"docid": d} for d, grade in QRELS[query].items() if grade],
            "negative_passages": [{"docid": d} for d, grade in QRELS[query].items() if not grade],
        }
        for query, text in QUERIES.items()
    ]
    packed(folder / "mldr-v1.0-en/test.jsonl.gz", rows)


def mkqa(folder: Path) -> None:
    rows = [{"id": q, "question": text, "answers": ["a fax", ""]} for q, text in QUERIES.items()]
    write_lines(folder / "fr.jsonl", rows)
    corpus = [{"_id": id_, "title": title, "text": text} for id_, (title, text) in CORPUS.items()]
    write_lines(folder / "corpus.jsonl", corpus)


def narrativeqa(folder: Path) -> None:
    rows = [
        {"document": {"id": id_, "text": CORPUS[id_][1]}, "question": {"text": QUERIES[query]}}
        for query, id_ in (("q1", "rows"), ("q2", "print"), ("q3", "rows"))
    ]
    write_lines(folder / "test.jsonl", rows)


def flag(folder: Path) -> None:
    corpus = [{"id": id_, "title": title, "text": text} for id_, (title, text) in CORPUS.items()]
    write_lines(folder / "corpus.jsonl", corpus)
    write_lines(folder / "test_queries.jsonl", [{"id": q, "text": t} for q, t in QUERIES.items()])
    write_lines(
        folder / "test_qrels.jsonl",
        [{"qid": q, "docid": d, "relevance": g} for q, of in QRELS.items() for d, g in of.items()],
    )


def packed(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(f"{json.dumps(row)}\n" for row in rows)


def texts(dataset: Dataset) -> dict[str, str]:
    return {document.id: document.text for document in dataset.documents()}


def joined(separator: str) -> dict[str, str]:
    return {id_: separator.join(parts) for id_, parts in CORPUS.items()}


def test_beir(beir: Path) -> None:
    dataset = read_folder(beir)
    assert (dataset.name, dataset.queries, dataset.qrels) == ("manual", QUERIES, QRELS)
    assert texts(dataset) == joined(" ")
    assert texts(dataset) == joined(" "), "and again"
    assert dataset.keep_query_id
    assert not read_folder(beir, keep_query_id=False).keep_query_id


def test_flag(tmp_path: Path) -> None:
    flag(tmp_path)
    dataset = read_folder(tmp_path)
    assert (dataset.queries, dataset.qrels, texts(dataset)) == (QUERIES, QRELS, joined(" "))


def test_miracl_puts_the_title_on_a_line_of_its_own_and_keeps_the_querys_id(tmp_path: Path) -> None:
    miracl(tmp_path)
    dataset = read_folder(tmp_path)
    assert (dataset.name, dataset.queries, dataset.qrels) == ("miracl:de", QUERIES, QRELS)
    assert texts(dataset) == joined("\n")
    assert dataset.keep_query_id


def test_mldr_has_the_papers_weights(tmp_path: Path) -> None:
    mldr(tmp_path)
    dataset = read_folder(tmp_path)
    assert (dataset.queries, dataset.qrels) == (QUERIES, BINARY)
    assert texts(dataset) == {id_: text for id_, (_, text) in CORPUS.items()}
    assert dataset.weights["all"] == WeightedSum(0.15, 0.5, 0.35)


def test_mkqa_has_answers(tmp_path: Path) -> None:
    mkqa(tmp_path)
    dataset = read_folder(tmp_path)
    assert (dataset.name, dataset.queries, dataset.qrels) == ("mkqa:fr", QUERIES, {})
    assert dataset.answers == {query: ["a fax"] for query in QUERIES}
    assert dataset.measures == ("Success@20", "Success@100")


def test_narrativeqa_has_each_story_once(tmp_path: Path) -> None:
    narrativeqa(tmp_path)
    dataset = read_folder(tmp_path)
    assert list(texts(dataset)) == ["rows", "print"]
    assert dataset.qrels == {"0": {"rows": 1}, "1": {"print": 1}, "2": {"rows": 1}}


@pytest.mark.parametrize(
    ("corpus", "message"),
    [
        ("{\n", r"corpus\.jsonl:1: not JSON"),
        ("[1]\n", "not a JSON object"),
        ('{"text": "a"}\n', "has none of _id"),
        (None, "there is no such file"),
    ],
)
def test_a_corpus_that_cannot_be_read_is_named(
    beir: Path, corpus: str | None, message: str
) -> None:
    (beir / "corpus.jsonl").unlink()
    if corpus is not None:
        (beir / "corpus.jsonl").write_text(corpus)
    with pytest.raises(DatasetError, match=message):
        list(read_folder(beir).documents())


def test_a_folder_of_no_layout_says_what_is_wanted(beir: Path, tmp_path: Path) -> None:
    shutil.rmtree(beir / "qrels")
    for folder in (beir, tmp_path):
        with pytest.raises(DatasetError, match=r"has corpus\.jsonl, queries\.jsonl and qrels"):
            read_folder(folder)
    with pytest.raises(DatasetError, match="no such folder"):
        read_folder(tmp_path / "nowhere")


def test_a_field_that_is_missing_is_named(tmp_path: Path) -> None:
    write_lines(tmp_path / "corpus.jsonl", [])
    with pytest.raises(DatasetError, match="holds no language; give lang="):
        read_folder(tmp_path)
    write_lines(tmp_path / "de.jsonl", [{"id": 1, "query": "what?"}])
    with pytest.raises(DatasetError, match=r"de\.jsonl: a row has no question: .*what\?"):
        read_folder(tmp_path)


class TestByName:
    """The repositories of the hub stand in folders here, and `datasets` itself reads them."""

    @pytest.fixture
    def hub(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Callable[..., Any]]:
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        datasets = pytest.importorskip("datasets")
        files = {"corpus": "corpus.jsonl", "queries": "queries.jsonl", "default": "qrels.jsonl"}

        def load(repository: str, config: str = "", *, split: str, data_files: str = "") -> Any:
            path = data_files.replace("hf://datasets", str(tmp_path))
            if repository != "json":
                name = files.get(config, f"{split}.jsonl")
                path = str(tmp_path / repository / name)
            return datasets.load_dataset(
                "json", data_files=path, split="train", cache_dir=str(tmp_path / "cache")
            )

        def download(repository: str, name: str, *, repo_type: str) -> str:
            assert repo_type == "dataset"
            return str(tmp_path / repository / name)

        return {"load": load, "download": download}

    def test_beir(self, hub: dict[str, Any], tmp_path: Path, beir: Path) -> None:
        target = tmp_path / "mteb" / "scifact"
        shutil.copytree(beir, target)
        rows = [
            {"query-id": q, "corpus-id": d, "score": float(grade)}
            for q, grades in QRELS.items()
            for d, grade in grades.items()
        ]
        write_lines(target / "qrels.jsonl", rows)
        dataset = load_dataset("beir:scifact", **hub)
        assert (dataset.queries, dataset.qrels) == (QUERIES, QRELS)
        assert texts(dataset) == joined(" ")

    def test_miracl(self, hub: dict[str, Any], tmp_path: Path) -> None:
        miracl(tmp_path / "made")
        shutil.move(tmp_path / "made/miracl-v1.0-de", tmp_path / "miracl/miracl/miracl-v1.0-de")
        shutil.move(tmp_path / "made", tmp_path / "miracl/miracl-corpus")
        dataset = load_dataset("miracl:de", **hub)
        assert (dataset.queries, dataset.qrels) == (QUERIES, QRELS)
        assert texts(dataset) == joined("\n")

    def test_mldr(self, hub: dict[str, Any], tmp_path: Path) -> None:
        mldr(tmp_path / "Shitao" / "MLDR")
        dataset = load_dataset("mldr:en", **hub)
        assert (dataset.queries, dataset.qrels) == (QUERIES, BINARY)
        assert texts(dataset) == {id_: text for id_, (_, text) in CORPUS.items()}

    def test_mkqa(self, hub: dict[str, Any], tmp_path: Path) -> None:
        mkqa(tmp_path / "mteb" / "nq")
        path = tmp_path / "Shitao/bge-m3-data/MKQA_test-data.zip"
        path.parent.mkdir(parents=True)
        with zipfile.ZipFile(path, "w") as archive:
            archive.write(tmp_path / "mteb/nq/fr.jsonl", "MKQA_test-data/fr.jsonl")
        dataset = load_dataset("mkqa:fr", **hub)
        assert (dataset.queries, texts(dataset)) == (QUERIES, joined(" "))
        assert dataset.judged == set(QUERIES)

    def test_narrativeqa(self, hub: dict[str, Any], tmp_path: Path) -> None:
        narrativeqa(tmp_path / "deepmind" / "narrativeqa")
        assert list(texts(load_dataset("narrativeqa", **hub))) == ["rows", "print"]

    def test_an_unknown_name_says_what_is_known(self, hub: dict[str, Any]) -> None:
        with pytest.raises(DatasetError, match=r"'beer:x' is no known collection; write beir:NAME"):
            load_dataset("beer:x", **hub)

    def test_without_datasets_a_known_name_says_what_is_missing(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "datasets", None)
        with pytest.raises(DatasetError, match=r"needs datasets, .* pip install datasets"):
            load_dataset("beir:scifact")
        with pytest.raises(DatasetError, match=r"'beer:x' is no known collection"):
            load_dataset("beer:x")
