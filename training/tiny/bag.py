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
from m3kit.vectors import Floats, Ints

FREQUENCY, COUNT = -2, -1
"""The dimensions of a token's state that hold how frequent it is, and what layer 1 counts."""


class Bag(nn.Module):
    """
    Embeddings of two parts, and their mean weighted by the softmax of a linear score.

    A token's state is a direction, which is trained, and how frequent the token is, in a dimension
    of its own. What is frequent has little of the direction: the vectors of "the" and "of" are
    nearly the same, so that they tell no passage from another.

    Args:
        rows: The direction of each token to begin with, `(tokens, width - 2)`.
        rarity: How rare each token is, at least 0.
        pooled: The first dimensions, of which the mean is taken.
    """

    frequency: torch.Tensor

    def __init__(self, rows: Floats, rarity: Floats, pooled: int) -> None:
        super().__init__()
        self.words = nn.Embedding(len(rows), rows.shape[1])
        self.words.weight.data.copy_(torch.from_numpy(rows))
        share = torch.from_numpy(rarity / rarity.max())
        self.register_buffer("frequency", 1 - share)
        self.pooled = pooled
        self.score = nn.Parameter(torch.zeros(rows.shape[1] + 2))
        with torch.no_grad():  # half of the rarity, but for what is the same for all tokens
            self.score[FREQUENCY] = -float(rarity.max()) / 2 / len(self.score) ** 0.5

    def embeddings(self, ids: torch.Tensor) -> torch.Tensor:
        """Return what a transformer's embedding has for each token, of unit length."""
        frequency = self.frequency[ids][..., None]
        direction = F.normalize(self.words(ids), dim=-1) * (1 - frequency**2).sqrt()
        return torch.cat([direction, frequency, torch.zeros_like(frequency)], dim=-1)

    def states(self, ids: torch.Tensor) -> torch.Tensor:
        """Return the state of each token before the first layer."""
        rows = self.embeddings(ids)
        return F.layer_norm(rows, rows.shape[-1:], eps=1e-5)

    def forward(self, ids: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
        """Return a unit vector for each row of `counts`: how often each of `ids` is in a text."""
        rows = self.states(ids)
        scores = rows @ self.score
        weights = counts * (scores - scores.max()).exp()
        return F.normalize(weights @ rows[:, : self.pooled], dim=-1)


def directions(latent: Floats, width: int, noise: float, seed: int) -> Floats:
    """Return latent rows with random numbers added in all dimensions: `(tokens, width - 2)`."""
    random = np.random.default_rng(seed).standard_normal((len(latent), width - 2), dtype=np.float32)
    rows: Floats = random * np.float32(noise / (width - 2) ** 0.5)
    rows[:, : latent.shape[1]] += latent
    return rows


def train_bag(
    bag: Bag,
    tokenizer: TextTokenizer,
    sampler: Sampler,
    options: Options,
    report: Callable[[str], None],
) -> None:
    """Train by InfoNCE in both directions over in-batch negatives."""
    optimizer = torch.optim.Adam(bag.parameters(), lr=options.bag_rate, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, options.bag_steps)
    passage_ids = IdCache(tokenizer)
    losses = []
    for step in range(options.bag_steps):
        batch = sampler.batch(options.bag_batch)
        if len(batch.queries) < 2:
            continue
        queries = token_ids(tokenizer, batch.queries, options.query_length)
        passages = passage_ids(batch.passages, options.length(batch.task))
        vectors = bag(*token_counts([*queries, *passages]))
        scores = vectors[: len(queries)] @ vectors[len(queries) :].T / options.temperature
        labels = torch.arange(len(scores))
        loss = (F.cross_entropy(scores, labels) + F.cross_entropy(scores.T, labels)) / 2
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        if (step + 1) % 50 == 0:
            report(f"stage 1, step {step + 1}: loss {np.mean(losses[-50:]):.3f}")


def token_ids(tokenizer: TextTokenizer, texts: Sequence[str], limit: int) -> list[Ints]:
    """Return the ids of texts without special tokens, `<unk>` for a text that has no other."""
    rows = (tokens.ids[1:-1] for tokens in tokenizer(texts, limit))
    return [row if len(row) else np.array([3]) for row in rows]


class IdCache:
    """Tokenizes a text once; passages are drawn many times."""

    def __init__(self, tokenizer: TextTokenizer) -> None:
        self._tokenizer = tokenizer
        self._rows: dict[tuple[str, int], Ints] = {}

    def __call__(self, texts: Sequence[str], limit: int) -> list[Ints]:
        """Return what `token_ids` does."""
        new = [text for text in dict.fromkeys(texts) if (text, limit) not in self._rows]
        for text, row in zip(new, token_ids(self._tokenizer, new, limit), strict=True):
            self._rows[text, limit] = row.astype(np.int32)
        return [self._rows[text, limit] for text in texts]


def token_counts(rows: Sequence[Ints]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the ids that are in any row, and how often each row has each: `(rows, ids)`."""
    ids, columns = np.unique(np.concatenate(rows), return_inverse=True)
    numbers = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
    places = numbers * len(ids) + columns
    counts = np.bincount(places, minlength=len(rows) * len(ids)).reshape(len(rows), len(ids))
    return torch.from_numpy(ids).long(), torch.from_numpy(counts).float()
