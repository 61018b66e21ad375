"""Transformers' XLM-RoBERTa and BERT over packed texts, differentiable."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812  # PyTorch's own name for it
from transformers import AttentionInterface, AutoModel, PreTrainedModel
from transformers.utils import logging

from m3kit.backend.checkpoint import Checkpoint
from m3kit.backend.packing import Pack
from m3kit.torch.attention import by_length, knows_lengths
from m3kit.torch.backbone import token_positions
from m3kit.torch.weights import Weights

_PACKED = "m3kit_packed"


def load_backbone(
    checkpoint: Checkpoint, dropout: float | None = None, *, pooler: bool = True
) -> PreTrainedModel:
    """
    Load a checkpoint's transformer in float32, attending within each text of a pack.

    The pooler, which nothing of M3 uses, is loaded where the checkpoint has it, so that it is
    saved again, and is not trained.

    Args:
        checkpoint: The model.
        dropout: Of hidden states and attention; None for that of `config.json`.
        pooler: Whether to load it.
    """
    pooler = pooler and any(name.startswith("pooler.") for name in _names(checkpoint))
    settings = {} if dropout is None else dropout_settings(dropout)
    with quiet():
        model: PreTrainedModel = AutoModel.from_pretrained(
            checkpoint.folder,
            add_pooling_layer=pooler,
            attn_implementation=_PACKED,
            dtype=torch.float32,
            **settings,
        )
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(not name.startswith("pooler."))
    return model


def hidden_states(model: Any, pack: Pack, device: torch.device) -> torch.Tensor:
    """
    Compute the last hidden state of each token, shape `(tokens, width)`.

    Args:
        model: As `load_backbone` gives it, or its wrapper by peft.
        pack: The texts.
        device: Where the model is.
    """
    config = model.config
    padding = config.pad_token_id if config.model_type == "xlm-roberta" else None
    positions = token_positions(pack, padding)
    ids, places = (torch.from_numpy(array)[None].to(device) for array in (pack.ids, positions))
    hidden: torch.Tensor = model(input_ids=ids, position_ids=places, pack=pack).last_hidden_state
    return hidden[0]


def dropout_settings(dropout: float) -> dict[str, float]:
    """Return the settings of `config.json` for a dropout."""
    return {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout}


@contextmanager
def quiet() -> Iterator[None]:
    """Silence transformers' bar, and its notes on tensors that a checkpoint has or lacks."""
    reporting: Any = logging
    level, bar = reporting.get_verbosity(), reporting.is_progress_bar_enabled()
    reporting.set_verbosity_error()
    reporting.disable_progress_bar()
    try:
        yield
    finally:
        reporting.set_verbosity(level)
        if bar:
            reporting.enable_progress_bar()


def _names(checkpoint: Checkpoint) -> list[str]:
    return Weights(checkpoint.weights_files(), torch.device("cpu")).names


def _attend(
    module: torch.nn.Module,  # noqa: ARG001  # the signature is transformers'
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,  # noqa: ARG001  # there is no padding
    *,
    pack: Pack,
    dropout: float = 0.0,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Attend to the texts of one length at a time; tensors are `(1, heads, tokens, size)`."""
    if (
        query.dtype in {torch.float16, torch.bfloat16}
        and not dropout
        and knows_lengths(query.device)
    ):
        side_by_side = torch.stack([query, key, value])[:, 0].permute(2, 0, 1, 3)
        attended = by_length(pack, query.shape[1], query.device)(side_by_side.flatten(1))
        return attended.view(1, len(attended), query.shape[1], -1), None
    sizes = [run.count * run.length for run in pack.runs]
    queries, keys, values = (torch.split(part[0], sizes, dim=1) for part in (query, key, value))
    attended = torch.cat(
        [
            _within(run.count, *parts, dropout=dropout)
            for run, *parts in zip(pack.runs, queries, keys, values, strict=True)
        ]
    )
    return attended[None], None


def _within(count: int, *parts: torch.Tensor, dropout: float) -> torch.Tensor:
    """
    Attend within `count` texts of one length.

    Args:
        count: How many texts there are.
        parts: Queries, keys and values, each of shape `(heads, rows, size)`.
        dropout: Of the attention.

    Returns:
        Shape `(rows, heads, size)`.
    """
    query, key, value = (
        part.view(len(part), count, -1, part.shape[-1]).transpose(0, 1) for part in parts
    )
    mixed = F.scaled_dot_product_attention(query, key, value, dropout_p=dropout)
    return mixed.transpose(1, 2).flatten(0, 1)


AttentionInterface.register(_PACKED, _attend)
