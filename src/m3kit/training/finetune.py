"""Fine-tune BGE-M3 or a dense model on examples."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from transformers import TrainingArguments, set_seed

from m3kit.backend import instructions
from m3kit.backend.checkpoint import Checkpoint, read_checkpoint
from m3kit.backend.locate import locate
from m3kit.backend.tokenizer import TextTokenizer, load_tokenizer
from m3kit.training.batches import Batches, BuildBatch, TextOptions, Tokenize
from m3kit.training.data import Example, TrainingData, estimate
from m3kit.training.errors import TrainingError
from m3kit.training.model import M3Model
from m3kit.training.options import FinetuneOptions, Record, TrainingOptions, last_checkpoint
from m3kit.training.plot import write_plot
from m3kit.training.trainer import BatchTrainer, M3Trainer


@dataclass(frozen=True, slots=True)
class Finetuned:
    """
    A run that has ended.

    Args:
        folder: The model, in the published layout, with `finetune.json` and `losses.png` (where
            matplotlib is installed) beside it.
        history: What was logged, in order: `step`, `loss`, `loss_dense`, ….
    """

    folder: Path
    history: list[dict[str, float]]


def finetune(
    data: Sequence[str | Path],
    folder: str | Path,
    *,
    model: str | Path = "BAAI/bge-m3",
    options: FinetuneOptions | None = None,
    resume: bool = False,
) -> Finetuned:
    """
    Train a model on examples, and write it.

    On several devices start a process for each, by `torchrun` or `accelerate launch`.

    Args:
        data: JSONL files and folders of them, see `m3kit.training.data`.
        folder: Where the model and its checkpoints are written; new, unless a run is resumed.
        model: `"tiny"`, a folder, or a name on the Hugging Face hub.
        options: How it is trained.
        resume: Whether to go on from the last checkpoint in `folder`, to the same weights as
            without an interruption.

    Raises:
        CheckpointError: If the model cannot be read.
        TrainingDataError: If a line of the data cannot be used; raised before the first step.
        TrainingError: If training cannot begin, runs out of memory, or a loss is not finite.
    """
    options, target = options or FinetuneOptions(), Path(folder)
    checkpoint = find_checkpoint(model)
    arguments = training_arguments(target, options)
    set_seed(options.seed)
    tokenizer = load_tokenizer(checkpoint.folder, checkpoint.config)
    trained = M3Model(
        checkpoint,
        unweighted=tokenizer.unweighted,
        heads=options.heads,
        freeze_encoder=options.freeze_encoder,
        dropout=options.dropout,
        lora=options.lora,
        cls_every=options.cls_every,
    )
    texts = with_instructions(options.texts, checkpoint)
    examples = TrainingData(
        data,
        size=example_size(tokenizer, texts, trained.max_length),
        in_batch_negatives=options.loss.in_batch_negatives,
        teacher=options.loss.teacher is not None,
    )
    build = BuildBatch(
        texts,
        queries=truncated(tokenizer, min(texts.query_max_length, trained.max_length)),
        passages=truncated(tokenizer, min(texts.passage_max_length, trained.max_length)),
    )
    batches = Batches(
        examples,
        options.batches,
        build,
        group_size=texts.group_size,
        seed=options.seed,
        processes=arguments.world_size,
    )
    trainer = M3Trainer(
        trained, arguments, batches, loss=options.loss, chunk_tokens=options.chunk_tokens
    )
    name = f"{checkpoint.name}@{checkpoint.fingerprint()}"
    record = Record.of(name, examples.files, arguments.world_size, options)
    return run(trainer, record, target, resume=resume)


def run(trainer: BatchTrainer, record: Record, folder: Path, *, resume: bool) -> Finetuned:
    """Train to the end, from the beginning or from the last checkpoint, and write the model."""
    checkpoint = None
    if resume:
        record.check_resumed(folder)
        checkpoint = last_checkpoint(folder)
    elif folder.is_dir() and any(folder.iterdir()):
        raise TrainingError(f"{folder} is not empty; resume its run, or give a new folder")
    trainer.accelerator.wait_for_everyone()
    if trainer.is_world_process_zero():
        record.write(folder)
    trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    trainer.save_model()
    history: list[dict[str, float]] = trainer.state.log_history
    if trainer.is_world_process_zero():
        trainer.save_state()
        write_plot(history, folder)
    return Finetuned(folder, history)


def find_checkpoint(model: str | Path) -> Checkpoint:
    """Locate a model and read its configuration."""
    name, folder = locate(model, revision=None, cache_dir=None, progress=False)
    return read_checkpoint(name, folder)


def training_arguments(folder: Path, options: TrainingOptions) -> TrainingArguments:
    """
    Return transformers' settings of a run.

    Raises:
        TrainingError: If there is no such setting, or it belongs to another option.
    """
    settings: dict[str, Any] = {
        "output_dir": str(folder),
        "learning_rate": options.learning_rate,
        "num_train_epochs": options.epochs,
        "max_steps": options.max_steps,
        "warmup_steps": options.warmup,
        "seed": options.seed,
        "per_device_train_batch_size": 1,
        "remove_unused_columns": False,
        "ddp_find_unused_parameters": False,
        "logging_nan_inf_filter": False,
    }
    defaults: Mapping[str, Any] = {
        "logging_steps": 10,
        "report_to": "none",
        "save_total_limit": 2,
        "dataloader_pin_memory": False,
    }
    if taken := sorted(settings.keys() & options.settings.keys()):
        raise TrainingError(f"{', '.join(taken)} is set by an option of m3kit's; use that")
    try:
        return TrainingArguments(**settings, **{**defaults, **options.settings})
    except (TypeError, ValueError) as error:
        raise TrainingError(f"transformers refuses a setting: {error}") from error


def with_instructions(texts: TextOptions, checkpoint: Checkpoint) -> TextOptions:
    """Fill in the model's own instructions where none are given."""
    query, passage = texts.query_instruction, texts.passage_instruction
    return replace(
        texts,
        query_instruction=instructions.for_queries(checkpoint) if query is None else query,
        passage_instruction=instructions.for_documents(checkpoint) if passage is None else passage,
    )


def truncated(tokenizer: TextTokenizer, limit: int) -> Tokenize:
    """Return a function from texts to ids that are cut to a limit."""
    return lambda texts: [tokens.ids for tokens in tokenizer(texts, limit)]


def example_size(
    tokenizer: TextTokenizer, texts: TextOptions, longest: int
) -> Callable[[Example], int]:
    """Return a function that estimates the tokens of an example and the passages drawn for it."""

    def count(batch: Sequence[str]) -> list[int]:
        return [tokens.full for tokens in tokenizer(batch, longest)]

    query = estimate(count, min(texts.query_max_length, longest))
    passage = estimate(count, min(texts.passage_max_length, longest))

    def size(example: Example) -> int:
        negatives = sorted(map(passage, example.neg), reverse=True)[: texts.group_size - 1]
        positive = max(map(passage, example.pos))
        return query(texts.query(example)) + positive + sum(negatives)

    return size
