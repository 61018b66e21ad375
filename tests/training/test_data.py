from __future__ import annotations

import logging
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from m3kit.training.batches import TextOptions, draw
from m3kit.training.batching import BatchOptions, plan
from m3kit.training.data import Example, TrainingData, estimate, read_examples
from m3kit.training.errors import TrainingDataError, TrainingError

Write = Callable[..., Path]


def read(*paths: Path, **options: Any) -> TrainingData:
    return TrainingData(paths, size=lambda example: len(example.query), **options)


NONE = np.zeros(300, dtype=np.int64)
GOOD = {"query": "q", "pos": ["a"], "neg": ["b"]}


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("no object", "is no object"),
        ({"pos": ["a"]}, "has no query"),
        ({"query": " ", "pos": ["a"]}, "has no query"),
        ({"query": "q"}, "has no positive passage"),
        ({"query": "q", "pos": [], "neg": ["b"]}, "has no positive passage"),
        ({"query": "q", "pos": "a"}, "'pos' that is no list of texts"),
        ({"query": "q", "pos": ["a"], "neg": [3]}, "'neg' that is no list of texts"),
        (GOOD | {"pos_scores": [1, 2]}, "'pos_scores' that are not 1 numbers"),
        (GOOD | {"neg_scores": [float("nan")]}, "'neg_scores' that are not 1 numbers"),
        (GOOD | {"prompt": 3}, "'prompt' that is no string"),
    ],
)
def test_a_line_that_is_no_example_is_named(write: Write, row: Any, problem: str) -> None:
    path = write([GOOD, GOOD, row])
    with pytest.raises(TrainingDataError, match=problem) as error:
        read(path)
    assert str(error.value).startswith(f"{path}:3 ")


def test_a_line_that_is_no_json_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"query": "q", "pos": ["a"]}\n\n{"query": "q", "pos": [\n')
    with pytest.raises(TrainingDataError, match=r"a\.jsonl:3 is no JSON"):
        read(path)


def test_a_teacher_needs_scores(write: Write) -> None:
    with pytest.raises(TrainingDataError, match=r":1 has no 'pos_scores'.*m3kit score"):
        read(write([GOOD]), teacher=True)


def test_without_in_batch_negatives_a_query_needs_negatives(write: Write) -> None:
    path = write([GOOD, {"query": "q", "pos": ["a"], "neg": []}])
    assert len(read(path)) == 2
    with pytest.raises(TrainingDataError, match=":2 has no negative passage"):
        read(path, in_batch_negatives=False)


def test_the_name_of_a_file_or_a_folder_turns_in_batch_negatives_off(write: Write) -> None:
    path = write([GOOD], "sts_no_in_batch_neg.jsonl")
    assert not read(path).allows_in_batch(0)
    folder = write([GOOD], "pairs_no_in_batch_neg/a.jsonl").parent
    assert not read(folder).allows_in_batch(0)


def test_a_positive_among_the_negatives_is_dropped_with_its_score_and_counted(
    write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    row = {"query": "q", "pos": ["a"], "neg": ["b", "a", "c"], "pos_scores": [9]}
    path = write([row | {"neg_scores": [1, 8, 2]}])
    with caplog.at_level(logging.WARNING, "m3kit"):
        example = read(path)[0]
    assert (example.neg, example.neg_scores) == (["b", "c"], [1.0, 2.0])
    assert "1 negatives equal a positive" in caplog.text


def test_a_folder_is_read_in_order_and_each_file_and_type_is_a_task(write: Write) -> None:
    write([GOOD, GOOD | {"type": "only_1neg"}], "folder/b.jsonl")
    folder = write([GOOD | {"query": "first"}], "folder/a.jsonl").parent
    (folder / "notes.txt").write_text("no data")
    data = read(folder)
    assert [data[number].query for number in range(3)] == ["first", "q", "q"]
    assert data.tasks.tolist() == [0, 1, 2]
    assert [example.query for example in read_examples(folder)] == ["first", "q", "q"]


def test_what_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TrainingDataError, match="does not exist"):
        read(tmp_path / "missing.jsonl")
    with pytest.raises(TrainingDataError, match=r"no \.jsonl or \.json file"):
        read(tmp_path)
    (tmp_path / "empty.jsonl").touch()
    with pytest.raises(TrainingDataError, match="no example"):
        read(tmp_path)
    with pytest.raises(TypeError, match="a list of files"):
        TrainingData("a.jsonl", size=lambda _: 1)


def test_a_group_has_a_positive_and_different_negatives() -> None:
    example = Example("q", ["a", "b"], ["c", "d", "e"], [1, 2], [3, 4, 5])
    scores = dict(zip("abcde", (1, 2, 3, 4, 5), strict=True))
    drawn = [draw(example, 3, np.random.default_rng(seed)) for seed in range(50)]
    for group in drawn:
        assert group.texts[0] in "ab"
        assert len(set(group.texts[1:])) == 2
        assert group.scores == [scores[text] for text in group.texts]
    assert {group.texts[0] for group in drawn} == {"a", "b"}
    assert {text for group in drawn for text in group.texts[1:]} == {"c", "d", "e"}
    assert len(draw(example, 9, np.random.default_rng(0)).texts) == 4


def test_the_types_of_flagembedding_mean_what_they_mean_there() -> None:
    options = TextOptions(query_instruction="Q: ", passage_instruction="P: ")
    plain, own = Example("q", ["a"]), Example("q", ["a"], prompt="own ")
    assert (options.query(plain), options.passage(plain, "a")) == ("Q: q", "P: a")
    assert (options.query(own), options.passage(own, "a")) == ("own q", "P: a")
    symmetric = Example("q", ["a"], prompt="own ", type="symmetric_sts")
    assert options.passage(symmetric, "a") == "own a"
    single = Example("q", ["a"], ["b", "c"], type="only_1neg")
    assert len(draw(single, 8, np.random.default_rng(0)).texts) == 2


def test_lengths_are_estimated_by_what_was_counted() -> None:
    tokens = estimate(lambda texts: [2 + len(text) // 4 for text in texts], 100)
    assert abs(tokens("x" * 200) - 52) <= 2
    assert tokens("x" * 4000) == 100


def planned(options: BatchOptions, epoch: int = 0, **more: Any) -> list[list[int]]:
    random = np.random.default_rng(1)
    sizes = np.exp(random.normal(5, 1, 300)).astype(np.int64)
    tasks = np.arange(300) % 3
    batches = plan(sizes, tasks, np.ones(300, dtype=np.int64), options, epoch=epoch, seed=7, **more)
    for batch in batches:
        assert len(set(tasks[batch])) == 1
        assert len(batch) <= options.batch_size
        assert len(batch) == 1 or sizes[batch].sum() <= options.batch_tokens
    return [batch.tolist() for batch in batches]


def test_a_plan_has_each_example_once_in_batches_of_a_task_within_the_budget() -> None:
    batches = planned(BatchOptions(batch_size=16, batch_tokens=2000))
    assert sorted(chain.from_iterable(batches)) == list(range(300))


def test_batches_are_of_similar_length() -> None:
    random = np.random.default_rng(1)
    sizes = np.exp(random.normal(5, 1, 300)).astype(np.int64)

    def spread(*, group_by_length: bool) -> float:
        options = BatchOptions(batch_size=16, batch_tokens=10**9, group_by_length=group_by_length)
        batches = plan(sizes, NONE, np.ones(300, dtype=np.int64), options, epoch=0, seed=7)
        return float(sum(len(b) * sizes[b].max() for b in batches) / sizes.sum())

    assert spread(group_by_length=True) < 0.6 * spread(group_by_length=False)


def test_each_epoch_has_as_many_other_batches_and_a_seed_gives_the_same() -> None:
    options = BatchOptions(batch_size=16, batch_tokens=2000)
    first, second = planned(options), planned(options, epoch=1)
    assert len(first) == len(second)
    assert {tuple(sorted(batch)) for batch in first} != {tuple(sorted(batch)) for batch in second}
    assert planned(options) == first


def test_devices_get_batches_of_one_task_and_nearly_one_size() -> None:
    batches = planned(BatchOptions(batch_size=16, batch_tokens=4000), processes=4)
    assert len(batches) % 4 == 0
    for start in range(0, len(batches), 4):
        unit = batches[start : start + 4]
        assert len({number % 3 for batch in unit for number in batch}) == 1
        assert max(map(len, unit)) - min(map(len, unit)) <= 1
    assert sorted(chain.from_iterable(batches)) == list(range(300))


def test_a_query_is_never_alone_without_a_negative() -> None:
    tasks, sizes = np.zeros(33, dtype=np.int64), np.full(33, 100)
    options = BatchOptions(batch_size=8)
    batches = plan(sizes, tasks, tasks, options, epoch=0, seed=0)
    assert sorted(map(len, batches)) == [4, 5, 8, 8, 8]
    with pytest.raises(TrainingError, match="nothing to compare"):
        plan(sizes, tasks, tasks, BatchOptions(batch_tokens=100), epoch=0, seed=0)
    with pytest.raises(TrainingError, match="for 4 devices"):
        plan(sizes[:5], tasks[:5], tasks[:5], options, epoch=0, seed=0, processes=4)
