"""Stage 1: a bag of embeddings, pooled by the weight of each token, learns to find passages."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  # PyTorch's own name for it
from torch import nn
from training.tiny.examples import Sampler
from training.tiny.options import Options

from m3kit.backend.tokenizer import TextTokenizer
from m3kit.vectors import Floats


class Bag(nn.Module):
    """
    Normalised embeddings, their mean weighted by the softmax of a linear score.

    Args:
        rows: The embedding of each token to begin with, `(tokens, width)`.
        importance: The score of each token to begin with.
    """

    def __init__(self, rows: Floats, importance: Floats) -> None:
        super().__init__()
        width = rows.shape[1]
        self.words = nn.Embedding(len(rows), width)
        self.words.weight.data.copy_(torch.from_numpy(rows))
        self.norm = nn.LayerNorm(width, eps=1e-5)
        with torch.no_grad():
            normal = self.norm(self.words.weight)
            gram = normal.T @ normal + 0.1 * len(normal) * torch.eye(width) / width
            weights = torch.linalg.solve(gram, normal.T @ torch.from_numpy(importance))
        self.score = nn.Parameter(weights)

    def forward(self, ids: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
        """Return a unit vector for each row of `ids`, of which `counts` are tokens."""
        rows = self.norm(self.words(ids))
        padded = torch.arange(ids.shape[1]) >= counts[:, None]
        weights = (rows @ self.score).masked_fill(padded, -torch.inf).softmax(-1)
        return F.normalize((weights[:, None] @ rows).squeeze(1), dim=-1)


def train_bag(
    bag: Bag,
    tokenizer: TextTokenizer,
    sampler: Sampler,
    options: Options,
    report: Callable[[str], None],
) -> None:
    """Train by InfoNCE in both directions over in-batch negatives."""
    optimizer = torch.optim.Adam(bag.parameters(), lr=options.bag_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, options.bag_steps)
    losses = []
    for step in range(options.bag_steps):
        batch = sampler.batch(options.bag_batch)
        if len(batch.queries) < 2:
            continue
        queries = bag(*padded(tokenizer, batch.queries, options.query_length))
        passages = bag(*padded(tokenizer, batch.passages, options.passage_length))
        scores = queries @ passages.T / options.temperature
        labels = torch.arange(len(scores))
        loss = (F.cross_entropy(scores, labels) + F.cross_entropy(scores.T, labels)) / 2
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        if (step + 1) % 50 == 0:
            report(f"stage 1, step {step + 1}: loss {np.mean(losses[-50:]):.3f}")


def padded(
    tokenizer: TextTokenizer, texts: Sequence[str], limit: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the ids of texts without special tokens, padded with 0, and how many each has."""
    rows = [tokens.ids[1:-1] for tokens in tokenizer(texts, limit)]
    rows = [row if len(row) else np.array([3]) for row in rows]  # <unk> for what has no token
    ids = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.int64)
    for place, row in enumerate(rows):
        ids[place, : len(row)] = torch.from_numpy(row)
    return ids, torch.tensor([len(row) for row in rows])
