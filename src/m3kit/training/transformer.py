"""What the trainable encoder and the trainable reranker have in common: their transformer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from m3kit.backend.checkpoint import Checkpoint
from m3kit.backend.packing import Pack
from m3kit.training.backbone import hidden_states, load_backbone
from m3kit.training.lora import LoraOptions, load_adapter, merged_state, save_adapter, wrap
from m3kit.vectors import Ints


class TransformerModel(nn.Module):
    """
    A checkpoint's transformer, or low-rank matrices beside it, which are trained in its place.

    Args:
        checkpoint: Where it comes from.
        dropout: Of hidden states and attention; None for that of the checkpoint.
        lora: Trains low-rank matrices beside those of the encoder, and not these.
        pooler: Whether to load the checkpoint's pooler, to be saved again.

    Raises:
        CheckpointError: If a weight is missing or does not fit.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        dropout: float | None,
        lora: LoraOptions | None,
        pooler: bool = True,
    ) -> None:
        super().__init__()
        self.checkpoint = checkpoint
        self.backbone: Any = load_backbone(checkpoint, dropout, pooler=pooler)
        self.config = self.backbone.config
        self.lora = lora is not None
        if lora is not None:
            self.backbone = wrap(self.backbone, lora)

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return next(self.parameters()).device

    @property
    def max_length(self) -> int:
        """How many tokens a text may have, special ones included."""
        return max_length(self.config)

    def activation_checkpointing_enable(self, **options: Any) -> None:
        """Compute hidden states again in the backward pass, to store fewer."""
        self.backbone.activation_checkpointing_enable(**options)

    def packed_states(self, texts: Sequence[Ints]) -> tuple[torch.Tensor, Pack, torch.Tensor]:
        """
        Compute the last hidden states of some texts, the shortest first.

        Returns:
            Shape `(tokens, width)`; the pack of these texts; and the place in it of each text.
        """
        order = np.argsort([len(ids) for ids in texts], kind="stable")
        pack = Pack.of([texts[place] for place in order])
        hidden = hidden_states(self.backbone, pack, self.device)
        places = torch.from_numpy(np.argsort(order, kind="stable")).to(hidden.device)
        return hidden, pack, places

    def save_transformer(self, folder: Path) -> dict[str, torch.Tensor]:
        """Make the folder, write low-rank matrices apart, and return the merged weights."""
        folder.mkdir(parents=True, exist_ok=True)
        if self.lora:
            save_adapter(self.backbone, folder)
            return merged_state(self.backbone)
        state: dict[str, torch.Tensor] = self.backbone.state_dict()
        return state

    def load_transformer(self, folder: Path, state: Mapping[str, torch.Tensor]) -> None:
        """Take the low-rank matrices of a folder, or the merged weights where there are none."""
        if self.lora:
            load_adapter(self.backbone, folder)
        else:
            self.backbone.load_state_dict(state)


def max_length(config: Any) -> int:
    """Return how many tokens a text may have by transformers' configuration of a model."""
    positions: int = config.max_position_embeddings
    return positions - (0 if config.model_type == "bert" else config.pad_token_id + 1)
