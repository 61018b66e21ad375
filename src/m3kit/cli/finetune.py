"""`m3kit finetune` and `m3kit finetune-reranker`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

from m3kit.cli import finetune_options as f
from m3kit.cli import options as o
from m3kit.cli.exit_codes import InputError, ModelError
from m3kit.cli.opening import DEFAULT_MODEL
from m3kit.index import M3Error

if TYPE_CHECKING:
    from m3kit.training import Finetuned, LoraOptions


def finetune(
    data: f.Data,
    *,
    to: f.Folder,
    model: o.Model = DEFAULT_MODEL,
    resume: f.Resume = False,
    heads: f.Heads = None,
    freeze_encoder: f.FreezeEncoder = None,
    lora: f.LoraRank = None,
    lora_alpha: f.LoraAlpha = 32,
    lora_modules: f.LoraModules = "query,key,value,dense",
    dropout: f.Dropout = None,
    cls_every: f.ClsEvery = None,
    temperature: f.Temperature = 0.02,
    dense_weight: f.DenseWeight = 1.0,
    sparse_weight: f.SparseWeight = 0.1,
    colbert_weight: f.ColbertWeight = 1.0,
    ensemble_weight: f.EnsembleWeight = 1.0,
    ensemble_dense: f.EnsembleDense = 1.0,
    ensemble_sparse: f.EnsembleSparse = 0.3,
    ensemble_colbert: f.EnsembleColbert = 1.0,
    self_distill: f.SelfDistill = True,
    self_distill_start: f.SelfDistillStart = 0,
    self_distill_weight: f.SelfDistillWeight = 1.0,
    teacher: f.Teacher = None,
    in_batch_negatives: f.InBatch = True,
    cross_device_negatives: f.CrossDevice = False,
    batch_size: f.BatchSize = 32,
    batch_tokens: f.BatchTokens = 65_536,
    mix_tasks: f.MixTasks = False,
    mix_lengths: f.MixLengths = False,
    chunk_tokens: f.ChunkTokens = None,
    group_size: f.GroupSize = 8,
    query_max_length: f.QueryLength = 512,
    passage_max_length: f.PassageLength = 8192,
    query_instruction: f.QueryInstruction = None,
    passage_instruction: f.PassageInstruction = None,
    query_format: f.QueryFormat = "{}{}",
    passage_format: f.PassageFormat = "{}{}",
    learning_rate: f.LearningRate = 1e-5,
    epochs: f.Epochs = 1.0,
    max_steps: f.MaxSteps = -1,
    warmup: f.Warmup = 0.1,
    seed: f.Seed = 42,
    settings: f.Settings = None,
) -> None:
    """Fine-tune a model on queries with their passages, all heads or some."""
    chosen, plain = o.read_reps(heads), f.read_settings(settings)
    with training_errors():
        from m3kit import training

        options = training.FinetuneOptions(
            heads=chosen,
            freeze_encoder=freeze_encoder,
            lora=_lora(lora, lora_alpha, lora_modules),
            dropout=dropout,
            cls_every=cls_every,
            loss=training.LossOptions(
                temperature=temperature,
                dense_weight=dense_weight,
                sparse_weight=sparse_weight,
                colbert_weight=colbert_weight,
                ensemble_weight=ensemble_weight,
                ensemble_dense=ensemble_dense,
                ensemble_sparse=ensemble_sparse,
                ensemble_colbert=ensemble_colbert,
                self_distill=self_distill,
                self_distill_start=self_distill_start,
                self_distill_weight=self_distill_weight,
                teacher=None if teacher is None else teacher.value,
                in_batch_negatives=in_batch_negatives,
                cross_device_negatives=cross_device_negatives,
            ),
            batches=training.BatchOptions(
                batch_size=batch_size,
                batch_tokens=batch_tokens,
                same_task=not mix_tasks,
                group_by_length=not mix_lengths,
            ),
            texts=training.TextOptions(
                group_size=group_size,
                query_max_length=query_max_length,
                passage_max_length=passage_max_length,
                query_instruction=query_instruction,
                passage_instruction=passage_instruction,
                query_format=query_format,
                passage_format=passage_format,
            ),
            chunk_tokens=chunk_tokens,
            learning_rate=learning_rate,
            epochs=epochs,
            max_steps=max_steps,
            warmup=warmup,
            seed=seed,
            settings=plain,
        )
        done = training.finetune(data, to, model=model, options=options, resume=resume)
    _report(done)


def finetune_reranker(
    data: f.Data,
    *,
    to: f.Folder,
    model: o.Model = "BAAI/bge-reranker-v2-m3",
    resume: f.Resume = False,
    loss: f.RerankLoss = f.RerankLossName.listwise,
    teacher: f.LearnScores = False,
    temperature: f.Temperature = 1.0,
    max_length: f.PairLength = 512,
    lora: f.LoraRank = None,
    lora_alpha: f.LoraAlpha = 32,
    lora_modules: f.LoraModules = "query,key,value,dense",
    dropout: f.Dropout = None,
    batch_size: f.BatchSize = 32,
    batch_tokens: f.BatchTokens = 65_536,
    mix_tasks: f.MixTasks = False,
    mix_lengths: f.MixLengths = False,
    chunk_tokens: f.ChunkTokens = None,
    group_size: f.GroupSize = 8,
    query_max_length: f.QueryLength = 512,
    query_instruction: f.QueryInstruction = None,
    passage_instruction: f.PassageInstruction = None,
    learning_rate: f.LearningRate = 1e-5,
    epochs: f.Epochs = 1.0,
    max_steps: f.MaxSteps = -1,
    warmup: f.Warmup = 0.1,
    seed: f.Seed = 42,
    settings: f.Settings = None,
) -> None:
    """Fine-tune a reranker on queries with their passages."""
    plain = f.read_settings(settings)
    with training_errors():
        from m3kit import training

        options = training.RerankerOptions(
            loss=loss.value,
            teacher=teacher,
            temperature=temperature,
            max_length=max_length,
            lora=_lora(lora, lora_alpha, lora_modules),
            dropout=dropout,
            batches=training.BatchOptions(
                batch_size=batch_size,
                batch_tokens=batch_tokens,
                same_task=not mix_tasks,
                group_by_length=not mix_lengths,
            ),
            texts=training.TextOptions(
                group_size=group_size,
                query_max_length=query_max_length,
                query_instruction=query_instruction,
                passage_instruction=passage_instruction,
            ),
            chunk_tokens=chunk_tokens,
            learning_rate=learning_rate,
            epochs=epochs,
            max_steps=max_steps,
            warmup=warmup,
            seed=seed,
            settings=plain,
        )
        done = training.finetune_reranker(data, to, model=model, options=options, resume=resume)
    _report(done)


def _lora(rank: int | None, alpha: int, modules: str) -> LoraOptions | None:
    from m3kit.training import LoraOptions

    return None if rank is None else LoraOptions(rank=rank, alpha=alpha, modules=f.listed(modules))


@contextmanager
def training_errors() -> Iterator[None]:
    """Say what the extra brings, and make bad input of what is wrong with training data."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise ModelError(
            f"training needs {error.name}, which is not installed: pip install 'm3kit[train]'"
        ) from error
    except M3Error as error:
        raise _kind(error)(str(error)) from error
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def _kind(error: M3Error) -> Any:
    from m3kit.training import TrainingDataError

    return InputError if isinstance(error, TrainingDataError) else ModelError


def _report(done: Finetuned) -> None:
    last = next((row for row in reversed(done.history) if "loss" in row), {})
    typer.echo(f"wrote {done.folder} after {int(done.history[-1]['step'])} steps")
    for name, value in last.items():
        if name.startswith("loss"):
            typer.echo(f"  {name.removeprefix('loss_').replace('_', ', ')}: {value:.4f}")
