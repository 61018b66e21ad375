"""Pre-train an encoder on plain texts by RetroMAE."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset
from transformers import set_seed

from m3kit.backend.tokenizer import SPECIAL_TOKENS, load_tokenizer
from m3kit.training.batching import BatchOptions, plan
from m3kit.training.errors import TrainingDataError, TrainingError
from m3kit.training.finetune import Finetuned, find_checkpoint, run, training_arguments
from m3kit.training.options import Record, TrainingOptions
from m3kit.training.retromae import MaskedText, RetroMae, mask_text
from m3kit.training.trainer import BatchTrainer
from m3kit.vectors import Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class PretrainOptions(TrainingOptions):
    """
    How an encoder is pre-trained: see `TrainingOptions`, and what follows.

    Args:
        positions: The longest text in tokens that the model is to read; None for what it has.
        max_length: Tokens of a text in training; what is longer is cut into texts of this length.
            None for `positions`.
        encoder_share: The share of tokens that the encoder does not see.
        decoder_share: The share of tokens that the decoder does not see.
        batch_size: Texts of a batch, at most.
        batch_tokens: Tokens of a batch, at most; a longer text is a batch of its own.

    Raises:
        ValueError: If a share is not between 0 and 1.
    """

    positions: int | None = 8192
    max_length: int | None = None
    encoder_share: float = 0.3
    decoder_share: float = 0.5
    batch_size: int = 32
    batch_tokens: int = 8192
    learning_rate: float = 7e-5

    def __post_init__(self) -> None:
        for name in ("encoder_share", "decoder_share"):
            if not 0 < getattr(self, name) < 1:
                raise ValueError(f"{name} is between 0 and 1, not {getattr(self, name)}")
        if self.max_length is not None and self.max_length <= SPECIAL_TOKENS:
            raise ValueError(f"max_length leaves no token for the text: {self.max_length}")


def pretrain(
    texts: Iterable[str],
    folder: str | Path,
    *,
    model: str | Path = "FacebookAI/xlm-roberta-large",
    options: PretrainOptions | None = None,
    resume: bool = False,
) -> Finetuned:
    """
    Pre-train a model on texts, and write it; `m3kit.training.finetune` goes on from there.

    Args:
        texts: Read once; their token ids are held in memory, four bytes each.
        folder: Where the model and its checkpoints are written; new, unless a run is resumed.
        model: `"tiny"`, a folder, or a name on the Hugging Face hub.
        options: How it is trained.
        resume: Whether to go on from the last checkpoint in `folder`.

    Raises:
        CheckpointError: If the model cannot be read.
        TrainingDataError: If there is no text.
        TrainingError: If the tokenizer has no `<mask>`, or training fails.
    """
    options, target = options or PretrainOptions(), Path(folder)
    checkpoint = find_checkpoint(model)
    arguments = training_arguments(target, options)
    set_seed(options.seed)
    trained = RetroMae(checkpoint, positions=options.positions, dropout=options.dropout)
    tokenizer = load_tokenizer(checkpoint.folder, checkpoint.config)
    mask = tokenizer.id_of("<mask>", "[MASK]")
    if mask is None:
        raise TrainingError(f"the tokenizer in {checkpoint.folder} has no <mask>; take another")
    longest = options.max_length or options.positions or _positions(trained)
    if longest > _positions(trained):
        raise TrainingError(
            f"max_length {longest} is above the model's {_positions(trained)} positions; raise "
            "positions, or lower it"
        )
    rows = [row for text in texts for row in _rows(tokenizer([text], _ALL)[0].ids, longest)]
    if not rows:
        raise TrainingDataError("there is no text to pre-train on; give files with documents")
    batches = MaskedBatches(rows, mask, options, processes=arguments.world_size)
    name = f"{checkpoint.name}@{checkpoint.fingerprint()}"
    record = Record.of(name, [], arguments.world_size, options)
    return run(RetroMaeTrainer(trained, arguments, batches), record, target, resume=resume)


_ALL = 2**40  # tokens: texts are cut into rows and not truncated


@dataclass(frozen=True, slots=True)
class MaskedBatch:
    """
    Texts of similar length.

    Args:
        texts: With their masks.
    """

    texts: Sequence[MaskedText]

    @property
    def tokens(self) -> int:
        """How many tokens it has."""
        return sum(len(text.ids) for text in self.texts)


class MaskedBatches(Dataset[MaskedBatch]):
    """
    The batches of all epochs; the masks of a text depend on the seed, the epoch and the text alone.

    Args:
        rows: The token ids of each text.
        mask: The id of `<mask>`.
        options: Of the run.
        processes: How many devices train.
    """

    def __init__(
        self, rows: Sequence[Ints], mask: int, options: PretrainOptions, *, processes: int = 1
    ) -> None:
        self._rows, self._mask, self._options = rows, mask, options
        self._processes = processes
        self._sizes = np.array([len(row) for row in rows], dtype=np.int64)
        self._epoch = 0
        self._plan = self._planned(0)

    def __len__(self) -> int:
        return len(self._plan)

    def __getitem__(self, number: int) -> MaskedBatch:
        return MaskedBatch([self._masked(int(text)) for text in self._plan[number]])

    def set_epoch(self, epoch: int) -> None:
        """Draw order and masks of an epoch; the trainer calls it."""
        self._epoch = epoch
        self._plan = self._planned(epoch)

    def _planned(self, epoch: int) -> list[Ints]:
        options = self._options
        return plan(
            self._sizes,
            np.zeros(len(self._rows), dtype=np.int64),
            np.ones(len(self._rows), dtype=bool),
            BatchOptions(batch_size=options.batch_size, batch_tokens=options.batch_tokens),
            epoch=epoch,
            seed=options.seed,
            processes=self._processes,
        )

    def _masked(self, text: int) -> MaskedText:
        return mask_text(
            self._rows[text].astype(np.int64),
            np.random.default_rng((self._options.seed, self._epoch, text)),
            mask=self._mask,
            encoder_share=self._options.encoder_share,
            decoder_share=self._options.decoder_share,
        )


class RetroMaeTrainer(BatchTrainer):
    """Trains a `RetroMae` on `MaskedBatches`; the loss is the sum of encoder's and decoder's."""

    def add_gradients(
        self, model: Any, batch: MaskedBatch
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Compute the loss of a batch and its parts, and add their gradients."""
        parts = model(batch.texts)
        loss = parts["encoder"] + parts["decoder"]
        self.backward(loss)
        return loss, parts


def _rows(ids: Ints, longest: int) -> list[Ints]:
    """Cut a text into rows of at most `longest` tokens, each with both special ones."""
    inside, step = ids[1:-1].astype(np.int32), longest - SPECIAL_TOKENS
    first, last = ids[:1].astype(np.int32), ids[-1:].astype(np.int32)
    parts = (inside[start : start + step] for start in range(0, len(inside), step))
    return [np.concatenate([first, part, last]) for part in parts]


def _positions(model: RetroMae) -> int:
    config = model.backbone.config
    reserved = 0 if config.model_type == "bert" else config.pad_token_id + 1
    return int(config.max_position_embeddings) - reserved
