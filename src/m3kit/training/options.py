"""What a run of fine-tuning is, and how it is recorded beside the model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from m3kit.training.batches import TextOptions
from m3kit.training.batching import BatchOptions
from m3kit.training.errors import TrainingError
from m3kit.training.lora import LoraOptions
from m3kit.training.losses import LossOptions
from m3kit.vectors import Rep

RECORD = "finetune.json"
"""The file beside the model that has the options and the data of its run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingOptions:
    """
    What every run of training is told.

    Args:
        dropout: Of hidden states and attention; None for that of the checkpoint.
        learning_rate: The largest.
        epochs: Passes over the data.
        max_steps: Optimizer steps, in place of `epochs`; -1 for none.
        warmup: Share of the steps in which the learning rate rises.
        seed: Of shuffling, drawing, dropout, and weights that are initialised at random.
        settings: Any other of `transformers.TrainingArguments`, by name: `bf16`, `fp16`,
            `gradient_accumulation_steps`, `save_steps`, `logging_steps`, `report_to`, ….
    """

    dropout: float | None = None
    learning_rate: float = 1e-5
    epochs: float = 1.0
    max_steps: int = -1
    warmup: float = 0.1
    seed: int = 42
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExampleOptions(TrainingOptions):
    """
    How an encoder or a reranker learns from examples: see `TrainingOptions`, and what follows.

    Args:
        lora: Trains low-rank matrices beside the encoder's; None trains the encoder itself.
        batches: The size of batches.
        texts: How examples become texts.
        chunk_tokens: Tokens computed at once on a device; gradients are those of the whole batch
            (GradCache). None computes a batch at once.
    """

    lora: LoraOptions | None = None
    batches: BatchOptions = field(default_factory=BatchOptions)
    texts: TextOptions = field(default_factory=TextOptions)
    chunk_tokens: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FinetuneOptions(ExampleOptions):
    """
    How an encoder is fine-tuned: see `ExampleOptions`, and what follows.

    Args:
        heads: What is trained, some of dense, sparse, colbert; None for all that the model has.
        freeze_encoder: Whether the heads alone are trained; None freezes the encoder where the
            dense vector is not among `heads`.
        cls_every: Puts a CLS token before every so many tokens, whose mean is the dense vector
            (MCLS); give it to `TorchEncoder` as well. None is a single CLS.
        loss: The loss and its weights.
    """

    heads: Sequence[Rep] | None = None
    freeze_encoder: bool | None = None
    cls_every: int | None = None
    loss: LossOptions = field(default_factory=LossOptions)


@dataclass(frozen=True, slots=True)
class Record:
    """
    What a run was made of, to be resumed with the same.

    Args:
        model: Name and fingerprint of the model at the start.
        data: Path and bytes of each file.
        processes: How many devices train.
        options: The options.
    """

    model: str
    data: dict[str, int]
    processes: int
    options: dict[str, Any]

    @classmethod
    def of(cls, model: str, files: Sequence[Path], processes: int, options: Any) -> Record:
        """Describe a run; `options` is a dataclass."""
        plain = json.loads(json.dumps(asdict(options), default=str))
        return cls(model, {str(file): file.stat().st_size for file in files}, processes, plain)

    def write(self, folder: Path) -> None:
        """Write the record beside the model."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / RECORD).write_text(json.dumps(asdict(self), indent=2) + "\n", "utf-8")

    def check_resumed(self, folder: Path) -> None:
        """
        Compare with the record of the run that is resumed.

        Raises:
            TrainingError: If there is none, or it differs.
        """
        try:
            before = json.loads((folder / RECORD).read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise TrainingError(
                f"there is no run in {folder} to resume ({error}); begin one without --resume"
            ) from error
        now = asdict(self)
        changed = [name for name in now if now[name] != before.get(name)]
        if changed:
            pairs = _flat({name: now[name] for name in changed})
            old = _flat({name: before.get(name) for name in changed})
            keys = sorted(key for key in pairs | old if pairs.get(key) != old.get(key))
            raise TrainingError(
                f"the run in {folder} differs in {', '.join(keys)}; give what it was begun with, "
                "or begin another in a new folder"
            )


def last_checkpoint(folder: Path) -> Path | None:
    """Return the newest checkpoint that was written to its end, or None."""
    complete = [state.parent for state in folder.glob("checkpoint-*/trainer_state.json")]
    return max(complete, key=lambda path: int(path.name.rpartition("-")[2]), default=None)


def _flat(values: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(values, Mapping):
        return {prefix: values}
    return {
        key: value
        for name, inner in values.items()
        for key, value in _flat(inner, f"{prefix}.{name}" if prefix else str(name)).items()
    }
