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

ZERO, RARITY, LENGTH, SCALE, FREQUENCY, COUNT = range(-6, 0)
"""The dimensions that stand for one thing each, of the last head's; the others are the code.

`ZERO` is zero, `RARITY` and `FREQUENCY` are those of the token, and layers write the other three.
Into `COUNT` they add: there the most frequent tokens, which have no lexical weight, begin apart.
"""

CODE = 1 / 12  # each number of a code: what the release's grid has
COMMON = 0.2  # of the largest rarity, below which a token is one of the most frequent
APART = -0.15  # their `COUNT`
RAREST, MOST_FREQUENT = 0.4, 0.88  # the largest numbers of their dimensions

_SCORED = [RARITY, FREQUENCY]
_FLATTENED = 0.7  # of what is learnt of these: text of another kind has other frequent words


class Bag(nn.Module):
    """
    Embeddings of two parts, and their mean weighted by the softmax of a score.

    A token's state is a direction, which is trained, and what tells the token from all others: a
    code of signs, how frequent the token is, and how rare. What is frequent has little of the
    direction: the vectors of "the" and "of" are nearly the same, so that they tell no passage from
    another.

    Args:
        rows: The direction of each token to begin with, `(tokens, pooled)`.
        rarity: How rare each token is, at least 0.
        width: Of a token's state; behind the direction come the code and what `ZERO` to `COUNT`
            name.
        seed: Of the codes.
    """

    frequency: torch.Tensor
    fixed: torch.Tensor

    def __init__(self, rows: Floats, rarity: Floats, width: int, seed: int) -> None:
        super().__init__()
        self.pooled = rows.shape[1]
        self.words = nn.Embedding(len(rows), self.pooled)
        self.words.weight.data.copy_(torch.from_numpy(rows))
        share = torch.from_numpy(rarity / rarity.max())
        self.register_buffer("frequency", 1 - share)
        fixed = torch.zeros(len(rows), width - self.pooled)
        signs = np.random.default_rng(seed).integers(0, 2, (len(rows), fixed.shape[1] + ZERO))
        fixed[:, :ZERO] = torch.from_numpy(signs * 2 - 1) * CODE
        fixed[:, FREQUENCY] = (1 - share) * MOST_FREQUENT
        fixed[:, RARITY] = share * RAREST
        fixed[share < COMMON, COUNT] = APART
        self.register_buffer("fixed", fixed)
        # half of the rarity, but for what is the same for all tokens
        frequency = -float(rarity.max()) / 2 / width**0.5
        self.scored = nn.Parameter(torch.tensor([0, frequency]))

    @property
    def score(self) -> torch.Tensor:
        """The row by which states are multiplied for a token's score."""
        row = torch.zeros(self.pooled + self.fixed.shape[1])
        row[_SCORED] = self.scored
        return row

    def embeddings(self, ids: torch.Tensor) -> torch.Tensor:
        """Return what a transformer's embedding has for each token, of unit length."""
        fixed = self.fixed[ids]
        left = (1 - fixed.square().sum(-1, keepdim=True)).sqrt()
        return torch.cat([F.normalize(self.words(ids), dim=-1) * left, fixed], dim=-1)

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


def directions(latent: Floats, noise: float, seed: int) -> Floats:
    """Return latent rows with random numbers added: of the same shape."""
    random = np.random.default_rng(seed).standard_normal(latent.shape, dtype=np.float32)
    rows: Floats = latent + random * np.float32(noise / latent.shape[1] ** 0.5)
    return rows


def train_bag(
    bag: Bag,
    tokenizer: TextTokenizer,
    sampler: Sampler,
    options: Options,
    report: Callable[[str], None],
) -> None:
    """
    Train by InfoNCE in both directions over in-batch negatives.

    A second loss keeps directions near those that the bag has. Scores end less steep than they are
    learnt.
    """
    begun = F.normalize(bag.words.weight.detach(), dim=-1)
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
        ids, counts = token_counts([*queries, *passages])
        vectors = bag(ids, counts)
        scores = vectors[: len(queries)] @ vectors[len(queries) :].T / options.temperature
        labels = torch.arange(len(scores))
        loss = (F.cross_entropy(scores, labels) + F.cross_entropy(scores.T, labels)) / 2
        near = (F.normalize(bag.words(ids), dim=-1) * begun[ids]).sum(-1)
        total = loss + options.bag_kept_weight * (1 - near.mean())
        optimizer.zero_grad()
        total.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        if (step + 1) % 50 == 0:
            report(f"stage 1, step {step + 1}: loss {np.mean(losses[-50:]):.3f}")
    with torch.no_grad():
        bag.scored.mul_(_FLATTENED)


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
