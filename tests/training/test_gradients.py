"""The model is the encoder's, and cached gradients are those of the whole batch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.torch.random_checkpoint import write_bert
from tests.training.conftest import load_tiny, rows, token_ids, with_positions

from m3kit.backend.checkpoint import read_checkpoint
from m3kit.backend.tokenizer import load_tokenizer
from m3kit.torch import TorchEncoder
from m3kit.training.batches import Batch
from m3kit.training.cached_gradients import backward_in_chunks
from m3kit.training.errors import TrainingError
from m3kit.training.lora import LoraOptions
from m3kit.training.losses import LossOptions
from m3kit.training.model import M3Model
from m3kit.training.representations import Representations
from m3kit.training.step import batch_loss
from m3kit.vectors import Ints, Rep

TEXTS = ["how to insert a table", "", "word " * 90, "a b", "how to insert a table", "日本語の表"]


def make_batch(count: int = 6) -> Batch:
    examples = rows(count)
    passages = [text for row in examples for text in (*row["pos"], *row["neg"])]
    size = len(passages) // count
    members = np.arange(len(passages)).reshape(count, size)
    teacher = np.array(
        [row["pos_scores"] + row["neg_scores"] for row in examples], dtype=np.float32
    )
    return Batch(
        token_ids(*(row["query"] for row in examples)),
        token_ids(*passages),
        members,
        teacher,
        np.arange(len(passages)),
        members[:, :1],
        in_batch=True,
    )


Plain = tuple[np.ndarray, dict[int, float], np.ndarray]


def outputs(texts: Representations) -> list[Plain]:
    """Take apart what a model computed: the dense vector, weights by id, ColBERT vectors."""
    assert texts.dense is not None
    assert texts.sparse is not None
    assert texts.colbert is not None
    counts = texts.sparse.counts.tolist()
    split: Any = torch.split  # PyTorch has no types here
    ids, weights = split(texts.sparse.ids, counts), split(texts.sparse.weights, counts)
    plain = []
    for dense, i, w, vectors in zip(
        texts.dense,
        ids,
        weights,
        split(texts.colbert.vectors, texts.colbert.counts.tolist()),
        strict=True,
    ):
        largest: dict[int, float] = {}
        for id_, weight in zip(i.tolist(), w.tolist(), strict=True):
            if weight > 0:
                largest[id_] = max(weight, largest.get(id_, 0.0))
        plain.append((dense.numpy(), largest, vectors.numpy()))
    return plain


@pytest.mark.parametrize("cls_every", [None, 16])
def test_the_model_computes_what_the_encoder_computes(cls_every: int | None) -> None:
    with torch.no_grad():
        computed = outputs(load_tiny(cls_every=cls_every)(token_ids(*TEXTS)))
    encoder = TorchEncoder.from_pretrained("tiny", cls_every=cls_every)
    for (dense, sparse, colbert), expected in zip(
        computed, encoder.encode_documents(TEXTS), strict=True
    ):
        assert expected.dense is not None
        assert expected.sparse is not None
        assert expected.colbert is not None
        weights = zip(expected.sparse.ids.tolist(), expected.sparse.weights.tolist(), strict=True)
        np.testing.assert_allclose(dense, expected.dense, atol=1e-5)
        np.testing.assert_allclose(colbert, expected.colbert, atol=1e-5)
        assert sparse == pytest.approx(dict(weights), abs=1e-5)


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_a_dense_model_computes_what_the_encoder_computes(tmp_path: Path, pooling: str) -> None:
    folder = write_bert(tmp_path, "abcdefghijklmnopqrstuvwxyz", pooling)
    checkpoint = read_checkpoint("bert", folder)
    tokenizer = load_tokenizer(folder, checkpoint.config)
    model = M3Model(checkpoint, unweighted=tokenizer.unweighted).eval()
    texts = ["how to insert a table", "a", "some words more than that"]
    with torch.no_grad():
        computed = model([tokens.ids for tokens in tokenizer(texts, 512)])
    assert list(computed.values) == ["dense"]
    expected = TorchEncoder.from_pretrained(folder).encode_documents(texts)
    assert computed.dense is not None
    for dense, output in zip(computed.dense.numpy(), expected, strict=True):
        assert dense == pytest.approx(output.dense, abs=1e-5)


def gradients(
    model: M3Model, batch: Batch, options: LossOptions, chunk_tokens: int | None
) -> tuple[float, dict[str, torch.Tensor]]:
    model.zero_grad()
    torch.manual_seed(11)
    loss = backward_in_chunks(
        model,
        [*batch.queries, *batch.passages],
        lambda texts: batch_loss(texts, batch, options)[0],
        chunk_tokens=chunk_tokens,
    )
    return loss.item(), {
        name: parameter.grad.clone()
        for name, parameter in model.named_parameters()
        if parameter.grad is not None
    }


@pytest.mark.parametrize(
    "options",
    [
        LossOptions(),
        LossOptions(self_distill=False, in_batch_negatives=False),
        LossOptions(teacher="listwise", temperature=0.05),
    ],
    ids=["unified", "groups", "listwise"],
)
def test_cached_gradients_are_those_of_the_whole_batch(options: LossOptions) -> None:
    model, batch = load_tiny(), make_batch()
    loss, expected = gradients(model, batch, options, None)
    assert {"sparse_linear.weight", "colbert_linear.bias"} < expected.keys()
    for chunk_tokens in (64, 300):
        cached_loss, cached = gradients(model, batch, options, chunk_tokens)
        assert cached_loss == pytest.approx(loss, rel=1e-6)
        assert cached.keys() == expected.keys()
        assert distance(cached, expected) <= 1e-6


def distance(gradient: dict[str, torch.Tensor], exact: dict[str, torch.Tensor]) -> float:
    """Return the length of the difference in that of the exact gradient."""
    flat = [torch.cat([part[name].flatten() for name in exact]) for part in (gradient, exact)]
    return float((flat[0] - flat[1]).norm() / flat[1].norm())


def test_in_double_precision_they_are_equal_to_the_last_digits() -> None:
    model, batch = with_positions(load_tiny()).double(), make_batch()
    _, expected = gradients(model, batch, LossOptions(), None)
    _, cached = gradients(model, batch, LossOptions(), 300)
    assert distance(cached, expected) <= 1e-12


def test_dropout_is_drawn_alike_in_both_passes() -> None:
    model = load_tiny(dropout=0.3).train()
    texts = make_batch().passages
    drawn: list[dict[Rep, torch.Tensor]] = []

    def recorded(part: Sequence[Ints]) -> Representations:
        computed: Representations = model(part)
        drawn.append({rep: tensor.detach() for rep, tensor in computed.values.items()})
        return computed

    def loss(whole: Representations) -> torch.Tensor:
        return torch.stack([tensor.square().mean() for tensor in whole.values.values()]).sum()

    backward_in_chunks(recorded, texts, loss, chunk_tokens=200)
    count = len(drawn) // 2
    assert count > 1
    for first, second in zip(drawn[:count], drawn[count:], strict=True):
        assert all(torch.equal(first[rep], second[rep]) for rep in first)
    assert not torch.equal(drawn[0]["dense"][0], model(texts[:1]).dense[0])


def test_the_chosen_heads_are_trained_on_a_frozen_encoder() -> None:
    model, batch = load_tiny(heads=("sparse", "colbert")), make_batch()
    _, changed = gradients(model, batch, LossOptions(), None)
    assert changed.keys() == {
        f"{head}_linear.{part}" for head in ("sparse", "colbert") for part in ("weight", "bias")
    }


def test_a_frozen_encoder_with_all_heads_has_the_dense_vector_in_the_ensemble() -> None:
    model, batch = load_tiny(freeze_encoder=True), make_batch()
    texts = model([*batch.queries, *batch.passages])
    _, parts = batch_loss(texts, batch, LossOptions())
    assert {"dense", "ensemble"} < parts.keys()
    _, changed = gradients(model, batch, LossOptions(), None)
    assert all("_linear" in name for name in changed)


def test_nothing_to_train_is_an_error() -> None:
    with pytest.raises(TrainingError, match="nothing is trained"):
        load_tiny(heads=("dense",), freeze_encoder=True)
    with pytest.raises(ValueError, match="heads are some of"):
        load_tiny(heads=("dense", "lexical"))
    with pytest.raises(ValueError, match="cls_every is"):
        load_tiny(cls_every=0)
    with pytest.raises(TrainingError, match="LoRA trains the encoder"):
        load_tiny(heads=("sparse",), lora=LoraOptions())
