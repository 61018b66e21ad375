"""MTEB's own tasks run on m3kit: retrieval and reranking in all modes, the others by dense."""

from __future__ import annotations

import warnings
from contextlib import nullcontext
from typing import Any, ClassVar

import numpy as np
import pytest
from scipy import stats
from tests.evaluation.conftest import CORPUS, QRELS, QUERIES

from m3kit import HybridIndex, MemoryIndex
from m3kit.evaluation import MODES, PAPER, Dataset, evaluate, per_query
from m3kit.torch import TorchEncoder

pytestmark = pytest.mark.filterwarnings("ignore")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    mteb = pytest.importorskip("mteb")
    from datasets import Dataset as Rows
    from datasets import DatasetDict
    from mteb.abstasks import AbsTaskRetrieval, AbsTaskSTS
    from mteb.abstasks.classification import AbsTaskClassification
    from mteb.abstasks.task_metadata import TaskMetadata

    from m3kit.evaluation.mteb import M3Model

DESCRIBED: dict[str, Any] = {
    "description": "Local data.",
    "dataset": {"path": "local", "revision": "1"},
    "category": "t2t",
    "modalities": ["text"],
    "eval_splits": ["test"],
    "eval_langs": ["eng-Latn"],
}
SENTENCES = ("sentence1", "sentence2")
TOP_RANKED = {"q1": ["fax", "rows", "macro"], "q2": ["fax", "print"], "q3": ["colour", "rows"]}


class Help(AbsTaskRetrieval):
    metadata = TaskMetadata(name="Help", type="Retrieval", main_score="ndcg_at_10", **DESCRIBED)
    ranked: ClassVar[dict[str, list[str]] | None] = None

    def load_data(self, *_: Any, **__: Any) -> None:
        corpus = [{"id": id_, "title": t, "text": text} for id_, (t, text) in CORPUS.items()]
        queries = [{"id": query, "text": text} for query, text in QUERIES.items()]
        split: Any = {
            "corpus": Rows.from_list(corpus),
            "queries": Rows.from_list(queries),
            "relevant_docs": {query: dict(grades) for query, grades in QRELS.items()},
            "top_ranked": self.ranked,
        }
        self.dataset = {"default": {"test": split}}
        self.data_loaded = True


class HelpReranking(Help):
    metadata = TaskMetadata(
        name="HelpReranking", type="Reranking", main_score="map_at_1000", **DESCRIBED
    )
    ranked = TOP_RANKED


class Pairs(AbsTaskSTS):
    metadata = TaskMetadata(name="Pairs", type="STS", main_score="cosine_spearman", **DESCRIBED)
    min_score, max_score = 0, 1

    def load_data(self, *_: Any, **__: Any) -> None:
        texts = [text for _, text in CORPUS.values()]
        rows = [
            {"sentence1": first, "sentence2": second, "score": float(first == second)}
            for first in texts
            for second in texts[:3]
        ]
        self.dataset = DatasetDict({"test": Rows.from_list(rows)})
        self.data_loaded = True


class Topics(AbsTaskClassification):
    metadata = TaskMetadata(
        name="Topics", type="Classification", main_score="accuracy", **DESCRIBED
    )
    samples_per_label = 2
    n_experiments = 1

    def load_data(self, *_: Any, **__: Any) -> None:
        rows = [
            {"text": f"{text} {n}", "label": label}
            for label, (_, text) in enumerate(CORPUS.values())
            for n in range(3)
        ]
        self.dataset = DatasetDict({split: Rows.from_list(rows) for split in ("train", "test")})
        self.data_loaded = True


def scores(model: M3Model, task: Any) -> dict[str, Any]:
    result = mteb.evaluate(model, task, cache=None, co2_tracker=False, show_progress_bar=False)
    measured: dict[str, Any] = result.task_results[0].scores["test"][0]
    return measured


@pytest.mark.parametrize("mode", [*PAPER, MODES["rrf-all"]], ids=lambda mode: mode.name)
def test_retrieval_in_every_mode_is_what_evaluate_measures(
    encoder: TorchEncoder, beir_dataset: Dataset, mode: Any
) -> None:
    measured = scores(M3Model(encoder, mode=mode), Help())
    report = evaluate(encoder, beir_dataset, modes=[mode], measures=["nDCG@10", "R@5"])
    means = report[mode.name].means
    assert measured["ndcg_at_10"] == pytest.approx(means["nDCG@10"], abs=1e-4)
    assert measured["recall_at_5"] == pytest.approx(means["R@5"], abs=1e-4)


def test_an_index_is_opened_for_each_task_and_closed(encoder: TorchEncoder) -> None:
    opened: list[str] = []
    closed: list[str] = []

    class Open(nullcontext[HybridIndex]):
        def __exit__(self, *_: object) -> None:
            closed.append(opened[-1])

    def open_index(name: str) -> Open:
        opened.append(name)
        return Open(MemoryIndex(encoder=encoder))

    scores(M3Model(encoder, open_index=open_index), Help())
    assert opened == closed == ["Help_default_test"]


@pytest.mark.parametrize("name", ["dense", "all"])
def test_reranking_orders_each_querys_own_documents(
    encoder: TorchEncoder, beir_dataset: Dataset, name: str
) -> None:
    measured = scores(M3Model(encoder, mode=MODES[name]), HelpReranking())
    whole = evaluate(encoder, beir_dataset, modes=[MODES[name]]).runs[name]
    ranked = {
        query: [pair for pair in ranking if pair[0] in TOP_RANKED[query]]
        for query, ranking in whole.items()
    }
    expected = np.mean(list(per_query(["AP"], beir_dataset.qrels, ranked)["AP"].values()))
    assert measured["map_at_1000"] == pytest.approx(expected, abs=1e-4)


def test_sts_and_classification_use_the_dense_vectors(encoder: TorchEncoder) -> None:
    model = M3Model(encoder)
    measured = scores(model, Pairs())["cosine_spearman"]
    task = Pairs()
    task.load_data()
    rows: Any = task.dataset
    sides = [M3Model(encoder).encode([{"text": rows["test"][name]}]) for name in SENTENCES]
    cosines = (sides[0] * sides[1]).sum(axis=1)
    expected = stats.spearmanr(cosines, rows["test"]["score"]).statistic
    assert measured == pytest.approx(expected, abs=0.01)  # equal texts tie but for the last bit
    assert scores(model, Topics())["accuracy"] > 0.9


def test_mteb_caches_by_model_fingerprint_and_mode(encoder: TorchEncoder) -> None:
    meta = M3Model(encoder, mode=MODES["rrf"]).mteb_model_meta
    name, _, fingerprint = encoder.model.partition("@")
    assert (meta.name, meta.revision) == (f"m3kit/{name}", fingerprint)
    assert meta.experiment_kwargs == {"mode": "rrf"}


@pytest.fixture
def beir_dataset(beir: Any) -> Dataset:
    from m3kit.evaluation import read_folder

    return read_folder(beir)
