"""More positions for a transformer than it was trained with."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from m3kit.training.errors import TrainingError


def extend_positions(backbone: Any, positions: int) -> None:
    """
    Give a transformer embeddings for so many positions, its own over and over.

    Trained with these as a start, as M3 was from XLM-RoBERTa's 512 to 8,192.

    Args:
        backbone: Transformers' XLM-RoBERTa or BERT; changed in place.
        positions: The longest text in tokens, special ones included.

    Raises:
        TrainingError: If it has more positions already.
    """
    embeddings = backbone.embeddings
    table = embeddings.position_embeddings
    reserved = 0 if backbone.config.model_type == "bert" else embeddings.padding_idx + 1
    known = len(table.weight) - reserved
    if positions < known:
        raise TrainingError(
            f"the model has {known} positions; they can be extended, and not cut to {positions}"
        )
    rows = table.weight.detach()
    places = reserved + torch.arange(positions, device=rows.device) % known
    extended = torch.cat([rows[:reserved], rows[places]])
    larger = nn.Embedding(len(extended), rows.shape[1], table.padding_idx, device=rows.device)
    larger.weight.data.copy_(extended)
    embeddings.position_embeddings = larger
    backbone.config.max_position_embeddings = len(extended)
    for name, value in (
        ("position_ids", torch.arange(len(extended))[None]),
        ("token_type_ids", torch.zeros(1, len(extended), dtype=torch.int64)),
    ):
        if hasattr(embeddings, name):
            embeddings.register_buffer(name, value.to(rows.device), persistent=False)
