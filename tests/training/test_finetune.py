"""Runs from the first step to the last, on one process."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests.torch.random_checkpoint import write_bert
from tests.training.conftest import rows

from m3kit.torch import TorchEncoder
from m3kit.training import (
    BatchOptions,
    Finetuned,
    FinetuneOptions,
    LoraOptions,
    LossOptions,
    TextOptions,
    TrainingDataError,
    TrainingError,
    finetune,
)
from m3kit.training.trainer import M3Trainer

Write = Callable[..., Path]

SMALL: dict[str, Any] = {
    "batches": BatchOptions(batch_size=4),
    "texts": TextOptions(group_size=3),
    "learning_rate": 1e-4,
}
QUIET = {"disable_tqdm": True, "logging_steps": 1, "save_strategy": "no"}
SAVING = {"save_strategy": "steps", "save_steps": 2}
SHORT = FinetuneOptions(**SMALL, max_steps=2, settings=QUIET)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "train.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows(8)), "utf-8")
    return path


@pytest.fixture(scope="module")
def short_run(data: Path) -> Finetuned:
    return finetune([data], data.parent / "short", model="tiny", options=SHORT)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    tensors = load_file(folder / "model.safetensors")
    for name in ("sparse_linear", "colbert_linear"):
        head = torch.load(folder / f"{name}.pt", weights_only=True)
        tensors |= {f"{name}.{key}": tensor for key, tensor in head.items()}
    return tensors


def changed(folder: Path) -> set[str]:
    """Return the names of the tensors that differ from the tiny checkpoint's."""
    from tests.torch.random_checkpoint import TINY

    before, after = weights(TINY), weights(folder)
    assert before.keys() == after.keys()
    return {name for name in after if not torch.equal(after[name], before[name].float())}


def interrupted_at(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    add = M3Trainer.add_gradients

    def interrupted(trainer: Any, model: Any, batch: Any) -> Any:
        if trainer.state.global_step == step:
            raise KeyboardInterrupt
        return add(trainer, model, batch)

    monkeypatch.setattr(M3Trainer, "add_gradients", interrupted)


@pytest.mark.parametrize(
    "lora",
    [
        pytest.param(None, id="full"),
        pytest.param(LoraOptions(rank=4, dropout=0.1), id="lora", marks=pytest.mark.slow),
    ],
)
def test_a_run_that_is_interrupted_resumes_to_the_same_weights(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lora: LoraOptions | None
) -> None:
    data = [write(rows(18))]
    options = FinetuneOptions(
        **SMALL,
        epochs=3,
        dropout=0.1,
        lora=lora,
        loss=LossOptions(self_distill_start=3),
        settings={
            **QUIET,
            "save_strategy": "steps",
            "save_steps": 2,
            "gradient_accumulation_steps": 2,
        },
    )
    whole = finetune(data, tmp_path / "whole", model="tiny", options=options)
    with monkeypatch.context() as patch:
        interrupted_at(patch, 5)
        with pytest.raises(KeyboardInterrupt):
            finetune(data, tmp_path / "halves", model="tiny", options=options)
    (tmp_path / "halves" / "checkpoint-99").mkdir()  # killed while it was written
    halves = finetune(data, tmp_path / "halves", model="tiny", options=options, resume=True)
    expected, resumed = weights(whole.folder), weights(halves.folder)
    assert expected.keys() == resumed.keys()
    assert all(torch.equal(expected[name], resumed[name]) for name in expected)
    losses = [[row["loss"] for row in run.history if "loss" in row] for run in (whole, halves)]
    assert losses[0] == losses[1]


def test_a_run_is_resumed_with_the_options_and_data_that_it_began_with(
    data: Path, short_run: Finetuned, tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match="no run in"):
        finetune([data], tmp_path / "out", model="tiny", options=SHORT, resume=True)
    with pytest.raises(TrainingError, match="is not empty"):
        finetune([data], short_run.folder, model="tiny", options=SHORT)
    other = replace(SHORT, loss=LossOptions(temperature=0.1))
    with pytest.raises(TrainingError, match=r"differs in options\.loss\.temperature"):
        finetune([data], short_run.folder, model="tiny", options=other, resume=True)


def test_each_step_logs_losses_by_head_and_tokens_a_second(short_run: Finetuned) -> None:
    heads = {"dense", "sparse", "colbert"}
    names = {f"loss_{part}" for part in heads | {f"{head}_distill" for head in heads}}
    logged = short_run.history[0].keys()
    assert names | {"loss", "loss_ensemble", "tokens_per_second", "step"} <= logged
    record = json.loads((short_run.folder / "finetune.json").read_text())
    assert record["model"].startswith("tiny@")
    assert record["options"]["loss"]["sparse_weight"] == 0.1


def test_losses_are_plotted(short_run: Finetuned) -> None:
    pytest.importorskip("matplotlib")
    assert (short_run.folder / "losses.png").read_bytes().startswith(b"\x89PNG")


def test_the_loss_falls_and_what_is_written_is_a_checkpoint(write: Write, tmp_path: Path) -> None:
    options = FinetuneOptions(
        **{**SMALL, "learning_rate": 3e-4}, epochs=6, chunk_tokens=200, settings=QUIET
    )
    done = finetune([write(rows(8))], tmp_path / "out", model="tiny", options=options)
    losses = [row["loss"] for row in done.history if "loss" in row]
    assert sum(losses[-2:]) < 0.7 * sum(losses[:2])
    encoder = TorchEncoder.from_pretrained(done.folder)
    assert encoder.reps == {"dense", "sparse", "colbert"}
    assert encoder.model != TorchEncoder.from_pretrained("tiny").model


def test_chosen_heads_leave_the_encoder_and_the_other_head_as_they_were(
    write: Write, tmp_path: Path
) -> None:
    options = FinetuneOptions(**SMALL, heads=("sparse",), max_steps=1, warmup=0, settings=QUIET)
    finetune([write(rows(4))], tmp_path / "sparse", model="tiny", options=options)
    assert changed(tmp_path / "sparse") == {"sparse_linear.weight", "sparse_linear.bias"}
    options = replace(options, heads=("dense",))
    finetune([write(rows(4))], tmp_path / "dense", model="tiny", options=options)
    assert "encoder.layer.0.attention.self.query.weight" in changed(tmp_path / "dense")
    assert not any("_linear" in name for name in changed(tmp_path / "dense"))


def test_lora_trains_the_chosen_matrices_and_is_merged_when_written(
    write: Write, tmp_path: Path
) -> None:
    lora = LoraOptions(rank=4, modules=("query", "value"))
    options = FinetuneOptions(**SMALL, lora=lora, max_steps=2, warmup=0, settings=QUIET)
    finetune([write(rows(4))], tmp_path / "out", model="tiny", options=options)
    matrices = {
        f"encoder.layer.{layer}.attention.self.{name}.weight"
        for layer in (0, 1)
        for name in ("query", "value")
    }
    heads = {f"{name}_linear.{key}" for name in ("sparse", "colbert") for key in ("weight", "bias")}
    assert changed(tmp_path / "out") == matrices | heads


def test_a_dense_model_is_trained_with_its_instruction_and_keeps_it(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_bert(tmp_path / "bge-small-en-v1.5", "abcdefghijklmnopqrstuvwxyz-:.", "cls")
    seen: list[int] = []
    add = M3Trainer.add_gradients

    def counted(trainer: Any, model: Any, batch: Any) -> Any:
        seen.extend(map(len, batch.queries))
        return add(trainer, model, batch)

    monkeypatch.setattr(M3Trainer, "add_gradients", counted)
    options = FinetuneOptions(**SMALL, max_steps=1, settings=QUIET)
    done = finetune([write(rows(4))], tmp_path / "out", model=folder, options=options)
    assert min(seen) > len("represent this sentence for searching relevant passages:")
    encoder = TorchEncoder.from_pretrained(done.folder)
    assert encoder.reps == {"dense"}
    spelled = "".join(token for _, token in encoder.query_tokens("x"))
    assert spelled.replace("##", "").startswith("[CLS]representthissentence")


def test_weak_pairs_train_on_in_batch_negatives_alone(write: Write, tmp_path: Path) -> None:
    pairs = [{"query": row["query"], "pos": row["pos"]} for row in rows(8, negatives=1)]
    options = FinetuneOptions(**SMALL, heads=("dense",), max_steps=2, settings=QUIET)
    done = finetune([write(pairs)], tmp_path / "out", model="tiny", options=options)
    assert all(row["loss_dense"] > 0 for row in done.history if "loss" in row)
    options = FinetuneOptions(**SMALL, loss=LossOptions(in_batch_negatives=False), settings=QUIET)
    with pytest.raises(TrainingDataError, match=r"train\.jsonl:1 has no negative"):
        finetune([write(pairs)], tmp_path / "other", model="tiny", options=options)


def test_a_model_without_heads_gets_new_ones(
    write: Write, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    import shutil

    from tests.torch.random_checkpoint import TINY

    folder = tmp_path / "headless"
    shutil.copytree(TINY, folder, ignore=shutil.ignore_patterns("*_linear.pt"))
    heads: tuple[Any, ...] = ("dense", "sparse", "colbert")
    options = FinetuneOptions(**SMALL, heads=heads, max_steps=1, settings=QUIET)
    with caplog.at_level(logging.WARNING, "m3kit"):
        done = finetune([write(rows(4))], tmp_path / "out", model=folder, options=options)
    assert "has no heads" in caplog.text
    assert TorchEncoder.from_pretrained(done.folder).reps == set(heads)


def test_a_loss_that_is_not_finite_ends_the_run(write: Write, tmp_path: Path) -> None:
    options = FinetuneOptions(
        **{**SMALL, "learning_rate": 1e30}, epochs=9, warmup=0, settings=QUIET
    )
    with pytest.raises(TrainingError, match=r"the loss is nan at step .* lower the learning rate"):
        finetune([write(rows(8))], tmp_path / "out", model="tiny", options=options)


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("can't allocate memory")]
)
def test_memory_that_runs_out_is_an_error_with_a_remedy(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: RuntimeError
) -> None:
    def exhausted(*_: object) -> Any:
        raise error

    monkeypatch.setattr(M3Trainer, "add_gradients", exhausted)
    options = FinetuneOptions(**SMALL, max_steps=1, settings=QUIET)
    with pytest.raises(
        TrainingError, match=r"tokens does not fit .* set chunk_tokens \(now None\)"
    ):
        finetune([write(rows(4))], tmp_path / "out", model="tiny", options=options)


def test_settings_of_transformers_are_passed_on_or_refused(write: Write, tmp_path: Path) -> None:
    data = [write(rows(4))]
    for settings, problem in (
        ({"output_dir": "elsewhere"}, "output_dir is set by an option of m3kit's"),
        ({"no_such_setting": 1}, "transformers refuses a setting: .*no_such_setting"),
    ):
        options = FinetuneOptions(**SMALL, settings=settings)
        with pytest.raises(TrainingError, match=problem):
            finetune(data, tmp_path / "out", model="tiny", options=options)


@pytest.mark.slow
@pytest.mark.parametrize("chunk_tokens", [None, 200])
def test_activation_checkpointing_gives_the_same_weights(
    write: Write, tmp_path: Path, chunk_tokens: int | None
) -> None:
    data = [write(rows(4))]
    folders = []
    for checkpointing in (False, True):
        settings = {**QUIET, "activation_checkpointing": checkpointing}
        options = FinetuneOptions(
            **SMALL, max_steps=2, dropout=0.1, chunk_tokens=chunk_tokens, settings=settings
        )
        folders.append(tmp_path / f"{checkpointing}")
        finetune(data, folders[-1], model="tiny", options=options)
    plain, recomputed = map(weights, folders)
    assert all(torch.allclose(plain[name], recomputed[name], atol=1e-6) for name in plain)


@pytest.mark.slow
def test_bf16_computes_products_in_it_and_keeps_weights_in_fp32(
    write: Write, tmp_path: Path
) -> None:
    options = FinetuneOptions(
        **SMALL, max_steps=2, settings={**QUIET, "bf16": True, "use_cpu": True}
    )
    done = finetune([write(rows(4))], tmp_path / "bf16", model="tiny", options=options)
    whole = FinetuneOptions(**SMALL, max_steps=2, settings=QUIET)
    exact = finetune([write(rows(4))], tmp_path / "fp32", model="tiny", options=whole)
    assert all(tensor.dtype == torch.float32 for tensor in weights(done.folder).values())
    assert done.history[0]["loss"] != exact.history[0]["loss"]
    assert done.history[0]["loss"] == pytest.approx(exact.history[0]["loss"], rel=0.05)
