"""An evaluation is exact, goes through any index, in bounded memory, and goes on."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from tests.evaluation.conftest import Drawn, numbers

from m3kit import (
    Document,
    Hit,
    M3Output,
    MemoryIndex,
    ModelMismatchError,
    Record,
    Rep,
    Search,
    WeightedSum,
)
from m3kit.evaluation import (
    MODES,
    PAPER,
    Dataset,
    DatasetError,
    EvaluationError,
    Policy,
    Run,
    bm25_baselines,
    evaluate,
    per_query,
    plot,
    read_folder,
    read_qrels,
    read_run,
)
from m3kit.evaluation.answers import has_answer
from m3kit.torch import TorchEncoder

PAPER_NAMES = [mode.name for mode in PAPER]


class Counting(Drawn):
    """Counts what it encodes, and stops as if interrupted when it is told to."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.encoded = 0
        self.stop_after = stop_after

    def encode_documents(
        self, texts: Sequence[str], reps: Collection[Rep] | None = None
    ) -> list[M3Output]:
        if self.stop_after is not None and self.encoded >= self.stop_after:
            raise KeyboardInterrupt
        self.encoded += len(texts)
        return super().encode_documents(texts, reps)


class Cut(MemoryIndex):
    """An index that finds every second document only, as an approximate one might."""

    def search(self, search: Search, /) -> list[Hit]:
        return super().search(search)[::2]


class Stopping(MemoryIndex):
    """An index that fails after so many searches."""

    left = 4

    def search(self, search: Search, /) -> list[Hit]:
        if not self.left:
            raise ConnectionError("gone")
        self.left -= 1
        return super().search(search)


def ids(run: Run) -> dict[str, list[str]]:
    return {query: [id_ for id_, _ in ranking] for query, ranking in run.items()}


def test_a_folder_becomes_a_table(encoder: TorchEncoder, beir: Path, tmp_path: Path) -> None:
    report = evaluate(
        encoder, read_folder(beir), baselines=bm25_baselines(encoder), folder=tmp_path / "results"
    )
    names = ["bm25", "bm25, model's tokens", *PAPER_NAMES]
    assert [row.name for row in report.rows] == names
    assert report["all"].means["R@100"] == 1.0
    lines = report.table().splitlines()
    assert lines[0] == "| search | nDCG@10 | R@100 | RR@10 | bytes per document |"
    assert [line.split(" | ")[0].removeprefix("| ") for line in lines[2:]] == names
    assert "manual: 5 documents, 3 queries, tiny@" in report.summary()
    written = json.loads((tmp_path / "results/report.json").read_text("utf-8"))
    assert written == json.loads(json.dumps(report.to_json()))
    qrels = read_qrels(tmp_path / "results/qrels.trec")
    run = read_run(tmp_path / "results/runs/all.trec")
    assert per_query(["nDCG@10"], qrels, run)["nDCG@10"] == report["all"].values["nDCG@10"]


def test_bytes_are_those_of_the_vectors_that_take_part(encoder: TorchEncoder, beir: Path) -> None:
    dataset = read_folder(beir)
    report = evaluate(encoder, dataset)
    outputs = encoder.encode_documents([document.text for document in dataset.documents()])
    for mode in PAPER:
        sizes = [output.only(*mode.reps).nbytes for output in outputs]
        assert report[mode.name].bytes_per_document == pytest.approx(sum(sizes) / len(sizes))


def test_an_exact_index_finds_all_and_an_approximate_one_shows() -> None:
    encoder, dataset = Drawn(), numbers(150, distinct=10**5)
    exact = evaluate(encoder, dataset, index=MemoryIndex(encoder=encoder), k=20)
    for name in PAPER_NAMES:
        assert exact[f"{name} @ index"].of_exact == 1.0
        assert exact[f"{name} @ index"].milliseconds is not None
        assert exact.runs[f"{name} @ index"] == exact.runs[name]
    cut = evaluate(encoder, dataset, index=Cut(encoder=encoder), modes=[MODES["dense"]], k=20)
    assert cut["dense @ index"].of_exact == pytest.approx(0.5)
    assert "of exact top 10" in cut.table()


def test_an_index_that_is_filled_is_not_written() -> None:
    encoder, dataset = Counting(), numbers(30)
    index = MemoryIndex(encoder=encoder, reps=["dense", "sparse"])
    documents = list(dataset.documents())
    outputs = encoder.encode_documents([document.text for document in documents])
    index.upsert([Record(*pair) for pair in zip(documents, outputs, strict=True)])
    report = evaluate(encoder, dataset, index=index, exact=False, fill=False)
    assert encoder.encoded == 30
    assert list(report.runs) == [f"{name} @ index" for name in ("dense", "sparse", "dense+sparse")]


def test_an_interrupted_stream_goes_on(tmp_path: Path) -> None:
    dataset, first = numbers(100), Counting(stop_after=60)
    index = MemoryIndex(encoder=first)
    options = {"batch_size": 10, "checkpoint_seconds": 0.0, "folder": tmp_path}
    with pytest.raises(KeyboardInterrupt):
        evaluate(first, dataset, index=index, **options)  # type: ignore[arg-type]  # a dict of options
    second = Counting()
    report = evaluate(second, dataset, index=index, **options)  # type: ignore[arg-type]  # the same
    assert (first.encoded, second.encoded) == (60, 40)
    assert report.documents == index.count() == 100
    whole = evaluate(Drawn(), dataset)
    assert {name: report.runs[name] for name in PAPER_NAMES} == whole.runs
    third = Counting()
    again = evaluate(third, dataset, index=index, **options)  # type: ignore[arg-type]  # the same
    assert third.encoded == 0
    assert [row.means for row in again.rows] == [row.means for row in report.rows]


def test_interrupted_searches_go_on(tmp_path: Path) -> None:
    encoder, dataset = Drawn(), numbers(40)
    index = Stopping(encoder=encoder)
    options = {"modes": [MODES["dense"]], "index": index, "exact": False, "folder": tmp_path}
    with pytest.raises(ConnectionError):
        evaluate(encoder, dataset, **options)  # type: ignore[arg-type]  # a dict of options
    index.left = 3
    report = evaluate(encoder, dataset, **options)  # type: ignore[arg-type]  # the same
    assert index.left == 0, "six queries: four before, of which the last is asked again"
    whole = evaluate(encoder, dataset, modes=[MODES["dense"]]).runs["dense"]
    assert ids(report.runs["dense @ index"]) == ids(whole)


def test_another_evaluation_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    evaluate(Drawn(), numbers(20), folder=tmp_path)
    with pytest.raises(EvaluationError, match=r"holds another evaluation \(k: 100, not 5\)"):
        evaluate(Drawn(), numbers(20), folder=tmp_path, k=5)


def test_a_corpus_that_has_changed_is_refused(tmp_path: Path) -> None:
    evaluate(Drawn(), numbers(20), folder=tmp_path)
    changed = replace(
        numbers(20), documents=lambda: (Document(f"d{n:04}", "1") for n in range(100, 120))
    )
    with pytest.raises(EvaluationError, match="document 20 of numbers is another than before"):
        evaluate(Drawn(), changed, folder=tmp_path)


def test_documents_are_let_go_as_they_are_read() -> None:
    alive: list[int] = []

    class Counted(Document):
        living = 0

        def __init__(self, id_: str, text: str) -> None:
            super().__init__(id_, text)
            Counted.living += 1

        def __del__(self) -> None:
            Counted.living -= 1

    def documents() -> Iterator[Document]:
        for n in range(2000):
            alive.append(Counted.living)
            yield Counted(f"d{n:04}", str(n))

    evaluate(Drawn(), replace(numbers(1), documents=documents), k=10, candidates=10, batch_size=20)
    assert max(alive) <= 2 * 20 + 2


def test_the_query_itself_is_kept_or_removed() -> None:
    dataset = Dataset(
        name="same ids",
        documents=lambda: (Document(f"q{n}", str(n)) for n in range(30)),
        queries={f"q{n}": str(n) for n in range(5)},
        qrels={f"q{n}": {f"q{n}": 1, "q9": 1} for n in range(5)},
    )
    unfiltered = evaluate(Drawn(), dataset, modes=[MODES["dense"]], k=30)
    removed = evaluate(Drawn(), replace(dataset, keep_query_id=False), modes=[MODES["dense"]], k=29)
    for query, ranking in unfiltered.runs["dense"].items():
        assert query in dict(ranking)
        assert removed.runs["dense"][query] == [pair for pair in ranking if pair[0] != query]


def test_a_reranker_has_a_row_of_its_own() -> None:
    def shortest(_: str, texts: Sequence[str]) -> list[float]:
        return [-float(text) for text in texts]

    report = evaluate(Drawn(), numbers(50), reranker=shortest, candidates=10, k=20)
    texts = {document.id: int(document.text) for document in numbers(50).documents()}
    for query, ranking in report.runs["all + reranker"].items():
        first = [id_ for id_, _ in report.runs["all"][query][:10]]
        assert [id_ for id_, _ in ranking] == sorted(first, key=lambda id_: (texts[id_], id_))
    assert report["all + reranker"].milliseconds is not None


def test_answers_stand_for_qrels(encoder: TorchEncoder, beir: Path) -> None:
    dataset = replace(
        read_folder(beir),
        qrels={},
        answers={"q1": ["ROWS and columns"], "q2": ["no such thing"], "q3": ["colour"]},
        measures=("Success@1", "Success@5"),
    )
    report = evaluate(encoder, dataset, modes=[MODES["dense"]])
    assert report["dense"].values["Success@5"] == {"q1": 1.0, "q2": 0.0, "q3": 1.0}


@pytest.mark.parametrize(
    ("text", "answer", "holds"),
    [
        ("The cell's colour.", "Cell\u2019s Colour", True),
        ("Recolouring cells", "colour", False),
        ("Ein Häuschen", "Häuschen", True),
        ("in 1,204 rows", "1 , 204", True),
        ("anything", "", False),
    ],
)
def test_an_answer_is_held_token_for_token(text: str, answer: str, *, holds: bool) -> None:
    assert has_answer(text, [answer]) is holds


def test_an_index_of_another_model_is_refused_or_counted() -> None:
    index = MemoryIndex(4, model="other@2")
    with pytest.raises(EvaluationError, match=r"made by other@2, and drawn@1 would search it"):
        evaluate(Drawn(), numbers(20), index=index)
    report = evaluate(Drawn(), numbers(20), index=index, policy=Policy(other_model="warn"))
    assert [issue.kind for issue in report.issues] == ["other_model"]
    assert not issubclass(EvaluationError, ModelMismatchError)


def test_an_empty_run_is_refused_or_a_row_of_zeros() -> None:
    def nothing(_: Dataset, __: int) -> Run:
        return {}

    options = {"modes": [MODES["dense"]], "baselines": {"none": nothing}}
    with pytest.raises(DatasetError, match=r"1 runs that found nothing: none"):
        evaluate(Drawn(), numbers(20), **options)  # type: ignore[arg-type]  # a dict of options
    report = evaluate(Drawn(), numbers(20), policy=Policy(empty_run="zero"), **options)  # type: ignore[arg-type]  # the same
    assert report["none"].means["nDCG@10"] == 0.0
    assert report["none"].without_hits == 6
    assert "without hits" in report.table()


def test_modes_that_cannot_be_are_named() -> None:
    index = MemoryIndex(encoder=Drawn(), reps=["dense"])
    with pytest.raises(EvaluationError, match="the mode all needs sparse, colbert"):
        evaluate(Drawn(), numbers(20), index=index, modes=[MODES["all"]])
    with pytest.raises(EvaluationError, match="a name of its own"):
        evaluate(Drawn(), numbers(20), modes=[MODES["all"], MODES["all"]])
    with pytest.raises(EvaluationError, match="nothing to search"):
        evaluate(Drawn(), numbers(20), exact=False)
    with pytest.raises(EvaluationError, match="'nDGC' is no measure"):
        evaluate(Drawn(), numbers(20), measures=["nDGC"])


def test_the_weights_of_a_collection_are_taken_where_no_mode_is_given() -> None:
    weights = {"dense+sparse": WeightedSum(dense=0, sparse=1, colbert=0)}
    report = evaluate(Drawn(), replace(numbers(40), weights=weights), k=5)
    sparse = {query: ranking[:1] for query, ranking in report.runs["sparse"].items() if ranking}
    assert sparse
    for query, ranking in sparse.items():
        assert report.runs["dense+sparse"][query][:1] == ranking


def test_rows_are_compared(encoder: TorchEncoder, beir: Path) -> None:
    report = evaluate(encoder, read_folder(beir))
    results = report.compare("dense", "all")
    assert [result.measure for result in results] == ["nDCG@10", "R@100", "RR@10"]
    assert results[0].queries == 3
    with pytest.raises(KeyError, match="the rows are dense, sparse"):
        report.compare("dense", "hybrid")


def test_a_plot_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    report = evaluate(Drawn(), numbers(20))
    plot(report, str(tmp_path / "bars.png"))
    assert (tmp_path / "bars.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(EvaluationError, match="AP was not measured"):
        plot(report, str(tmp_path / "bars.png"), "AP")
