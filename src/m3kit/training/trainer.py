"""Hugging Face's Trainer over batches of m3kit: one backward pass for a loss of a whole batch."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Protocol

import torch
from torch.utils.data import Dataset, SequentialSampler
from transformers import Trainer, TrainingArguments

from m3kit.training.batches import Batch, Batches
from m3kit.training.cached_gradients import backward_in_chunks
from m3kit.training.collectives import world_size
from m3kit.training.errors import TrainingError
from m3kit.training.losses import LossOptions
from m3kit.training.representations import Representations
from m3kit.training.step import batch_loss

_NO_MEMORY = "can't allocate memory"  # of PyTorch's allocator on a CPU


class Saved(Protocol):
    """A model that is written to a folder and read from it, in the layout that is published."""

    def save(self, folder: Path) -> None:
        """Write all files."""
        ...

    def load(self, folder: Path) -> None:
        """Read the weights."""
        ...


class BatchTrainer(Trainer):
    """
    Trains on the batches of a dataset, each of which is an item.

    Checkpoints are models in the published layout, with the state of optimizer and generators
    beside them. Losses by part and the tokens in a second are logged.

    Args:
        model: What is trained; `Saved`.
        args: Of transformers; one item is a batch.
        batches: The dataset.
    """

    def __init__(
        self, model: torch.nn.Module, args: TrainingArguments, batches: Dataset[Any]
    ) -> None:
        if args.n_gpu > 1:
            raise TrainingError(
                f"{args.n_gpu} GPUs are visible to one process; start one for each: torchrun "
                f"--nproc_per_node {args.n_gpu} -m m3kit.cli finetune …, or set "
                "CUDA_VISIBLE_DEVICES=0"
            )
        super().__init__(model, args, data_collator=_only, train_dataset=batches)
        self._sums: dict[str, float] = {}
        self._count = self._tokens = 0
        self._since = time.perf_counter()

    def training_step(
        self,
        model: Any,
        inputs: Mapping[str, Any],
        num_items_in_batch: object = None,  # noqa: ARG002  # transformers' signature
    ) -> torch.Tensor:
        """Add the gradients of a batch."""
        model.train()
        batch = inputs["batch"]
        with self._explained(batch.tokens):
            loss, parts = self.add_gradients(model, batch)
        if not torch.isfinite(loss):
            raise TrainingError(
                f"the loss is {loss.item()} at step {self.state.global_step}; lower the learning "
                "rate or raise the temperature, train in bf16 or fp32 in place of fp16, and begin "
                "again from the last checkpoint"
            )
        for name, part in parts.items():
            self._sums[name] = self._sums.get(name, 0.0) + float(part.detach())
        self._count += 1
        self._tokens += batch.tokens
        steps: int = self.current_gradient_accumulation_steps
        return (loss.detach() / steps).to(self.args.device)

    def add_gradients(self, model: Any, batch: Any) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Compute the loss of a batch and its parts, and add their gradients."""
        raise NotImplementedError

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add losses by part and tokens a second to what transformers logs."""
        if self._count and "loss" in logs:
            logs |= {f"loss_{name}": total / self._count for name, total in self._sums.items()}
            seconds = time.perf_counter() - self._since
            logs["tokens_per_second"] = self._tokens * world_size() / max(seconds, 1e-9)
            self._sums, self._count, self._tokens = {}, 0, 0
            self._since = time.perf_counter()
        super().log(logs, start_time)

    def backward(self, loss: torch.Tensor) -> None:
        """Pass a part of a step's gradients back, scaled for accumulation and for fp16."""
        self.accelerator.backward(loss / self.current_gradient_accumulation_steps)

    def without_sync(self, model: Any) -> Callable[[], Any]:
        """Return what keeps gradients from being averaged over devices while it is entered."""
        return getattr(model, "no_sync", nullcontext)

    @contextmanager
    def _explained(self, tokens: int) -> Iterator[None]:
        try:
            yield
        except (torch.OutOfMemoryError, RuntimeError) as error:
            if not (isinstance(error, torch.OutOfMemoryError) or _NO_MEMORY in str(error)):
                raise
            raise TrainingError(
                f"a batch of {tokens:,} tokens does not fit into the memory of "
                f"{self.args.device}; set chunk_tokens (now {self.chunk_tokens}) lower, which "
                "gives the same gradients, or batch_tokens, or shorten passages"
            ) from error

    @property
    def chunk_tokens(self) -> int | None:
        """Tokens that are computed at once; None for all of a batch."""
        return None

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        dataset: Any = self.train_dataset if train_dataset is None else train_dataset
        return SequentialSampler(dataset)

    def _save(self, output_dir: str | None = None, state_dict: object = None) -> None:  # noqa: ARG002
        if self.args.should_save:
            self.accelerator.unwrap_model(self.model).save(
                Path(output_dir or str(self.args.output_dir))
            )

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        self.accelerator.unwrap_model(model or self.model).load(Path(resume_from_checkpoint))


class M3Trainer(BatchTrainer):
    """
    Trains an `M3Model`.

    Args:
        model: What is trained.
        args: Of transformers.
        batches: The batches.
        loss: The loss.
        chunk_tokens: Tokens that are computed at once, with cached gradients; None for all.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        args: TrainingArguments,
        batches: Batches[Batch],
        *,
        loss: LossOptions,
        chunk_tokens: int | None = None,
    ) -> None:
        super().__init__(model, args, batches)
        self._loss = loss
        self._chunk_tokens = chunk_tokens

    @property
    def chunk_tokens(self) -> int | None:
        """Tokens that are computed at once; None for all of a batch."""
        return self._chunk_tokens

    def add_gradients(
        self, model: Any, batch: Batch
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Compute the loss of a batch and its parts, and add their gradients."""
        parts: dict[str, torch.Tensor] = {}

        def loss(texts: Representations) -> torch.Tensor:
            step: int = self.state.global_step
            total, computed = batch_loss(texts, batch, self._loss, step=step)
            parts.update(computed)
            return total

        total = backward_in_chunks(
            model,
            [*batch.queries, *batch.passages],
            loss,
            chunk_tokens=self._chunk_tokens,
            backward=self.backward,
            without_sync=self.without_sync(model),
        )
        return total, parts


def _only(items: Sequence[Any]) -> dict[str, Any]:
    (batch,) = items
    return {"batch": batch}
