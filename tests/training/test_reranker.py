from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests.torch.random_reranker import PAIRS, write_reranker
from tests.training.conftest import rows

from m3kit.backend.checkpoint import read_checkpoint
from m3kit.backend.tokenizer import load_tokenizer
from m3kit.torch import CrossEncoder
from m3kit.training import (
    BatchOptions,
    RerankerOptions,
    TextOptions,
    TrainingDataError,
    TrainingError,
    finetune_reranker,
)
from m3kit.training.batches import Group
from m3kit.training.data import Example
from m3kit.training.losses import Groups
from m3kit.training.rerank_model import RerankerModel
from m3kit.training.reranker import BuildPairs, rerank_loss

Write = Callable[..., Path]
SMALL: dict[str, Any] = {
    "batches": BatchOptions(batch_size=4),
    "texts": TextOptions(group_size=4),
    "settings": {"disable_tqdm": True, "logging_steps": 1, "save_strategy": "no"},
    "learning_rate": 1e-3,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_reranker(tmp_path_factory.mktemp("reranker"))


def test_the_model_computes_what_the_cross_encoder_computes(folder: Path) -> None:
    checkpoint = read_checkpoint("reranker", folder)
    model = RerankerModel(checkpoint).eval()
    tokenizer = load_tokenizer(folder, checkpoint.config)
    build = BuildPairs(tokenizer, TextOptions(query_max_length=384), 512, model.max_length)
    pairs = [pair for pair in PAIRS if all(pair)]
    groups = [Group(Example(query, [text]), [text], []) for query, text in pairs]
    with torch.no_grad():
        scores = model(build(groups, in_batch=False).pairs)
    encoder = CrossEncoder.from_pretrained(folder)
    assert scores.tolist() == pytest.approx(encoder.scores(pairs), abs=1e-5)


def groups_of(members: list[list[int]], teacher: list[list[float]] | None = None) -> Groups:
    hidden = torch.zeros(len(members), 0, dtype=torch.bool)
    scores = None if teacher is None else torch.tensor(teacher)
    return Groups(torch.tensor(members), hidden, scores)


def test_losses_by_hand() -> None:
    scores = torch.tensor([1.0, 0.0, 2.0, 0.5, 3.0])
    groups = groups_of([[0, 1, 2], [3, 4, -1]])
    listwise = rerank_loss(scores, groups, RerankerOptions())
    first = math.log(math.exp(1) + 1 + math.exp(2)) - 1
    second = math.log(math.exp(0.5) + math.exp(3)) - 0.5
    assert listwise.item() == pytest.approx((first + second) / 2, abs=1e-6)
    pairwise = rerank_loss(scores, groups, RerankerOptions(loss="pairwise"))
    first = (math.log1p(math.exp(0 - 1)) + math.log1p(math.exp(2 - 1))) / 2
    second = math.log1p(math.exp(3 - 0.5))
    assert pairwise.item() == pytest.approx((first + second) / 2, abs=1e-6)


def test_a_teacher_adds_the_cross_entropy_of_its_probabilities() -> None:
    scores, groups = torch.tensor([1.0, 0.0]), groups_of([[0, 1]], [[2.0, 1.0]])
    plain = rerank_loss(scores, groups, RerankerOptions())
    taught = rerank_loss(scores, groups, RerankerOptions(teacher=True))
    first = math.exp(2) / (math.exp(2) + math.exp(1))
    log_sum = math.log(math.exp(1) + 1)
    by_hand = first * (log_sum - 1) + (1 - first) * log_sum
    assert (taught - plain).item() == pytest.approx(by_hand, abs=1e-6)


@pytest.mark.parametrize("loss", ["listwise", "pairwise"])
def test_a_reranker_learns_and_is_read_by_the_cross_encoder(
    write: Write, tmp_path: Path, folder: Path, loss: Any
) -> None:
    data = rows(8)
    options = RerankerOptions(**SMALL, loss=loss, epochs=8, chunk_tokens=150)
    done = finetune_reranker([write(data)], tmp_path / "out", model=folder, options=options)
    losses = [row["loss"] for row in done.history if "loss" in row]
    assert losses[-1] < 0.5 * losses[0]
    reranker = CrossEncoder.from_pretrained(done.folder)
    best = [reranker(row["query"], [*row["neg"], *row["pos"]]) for row in data]
    assert sum(max(scores) == scores[-1] for scores in best) >= 7


@pytest.mark.slow
def test_chunks_give_the_same_weights(write: Write, tmp_path: Path, folder: Path) -> None:
    data, plain = [write(rows(8))], {**SMALL, "max_steps": 2, "teacher": True}
    for name, chunk_tokens in (("whole", None), ("chunks", 100)):
        options = RerankerOptions(**plain, chunk_tokens=chunk_tokens)
        finetune_reranker(data, tmp_path / name, model=folder, options=options)
    whole, chunks = (load_file(tmp_path / n / "model.safetensors") for n in ("whole", "chunks"))
    for name, tensor in whole.items():
        # These are added to every score, or to all that a softmax compares, and no loss depends
        # on them: what Adam scales up is a rounding.
        if name != "classifier.out_proj.bias" and not name.endswith("key.bias"):
            assert torch.allclose(tensor, chunks[name], atol=1e-4), name


def test_an_encoder_becomes_a_reranker(write: Write, tmp_path: Path) -> None:
    options = RerankerOptions(**SMALL, max_steps=1)
    done = finetune_reranker([write(rows(4))], tmp_path / "out", model="tiny", options=options)
    assert len(CrossEncoder.from_pretrained(done.folder)("a query", ["a", "b"])) == 2


def test_what_cannot_be_trained_is_refused(write: Write, tmp_path: Path) -> None:
    from tests.torch.random_checkpoint import write_bert

    pairs = [{"query": "q", "pos": ["a"]}]
    with pytest.raises(TrainingDataError, match=":1 has no negative passage"):
        finetune_reranker([write(pairs)], tmp_path / "out", model="tiny")
    bert = write_bert(tmp_path / "bert", "abc")
    with pytest.raises(TrainingError, match="rerankers are made of xlm-roberta"):
        finetune_reranker([write(rows(4))], tmp_path / "out", model=bert)
    with pytest.raises(ValueError, match="loss is"):
        RerankerOptions(loss="triplet")  # type: ignore[arg-type]  # what a user may write
