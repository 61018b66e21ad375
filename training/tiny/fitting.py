"""The last layer's units that make BM25's weight of what is counted, fitted by gradient descent."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  # PyTorch's own name for it
from torch import nn
from training.tiny.bag import COUNT, FREQUENCY, LENGTH, RARITY, SCALE, ZERO
from training.tiny.counting import UNITS
from training.tiny.examples import Sampler
from training.tiny.lexical import disguised, lexical_weights, shortness
from training.tiny.options import Options

from m3kit.backend.packing import Pack
from m3kit.backend.tokenizer import TextTokenizer
from m3kit.training.backbone import hidden_states
from m3kit.training.model import M3Model
from m3kit.vectors import Floats, Ints

_READ = [COUNT, FREQUENCY, SCALE, LENGTH, RARITY]
_LARGE = 3.0  # the last state, to a weight of 1
_BATCH, _RATE = 2048, 6e-2
_BELOW = 0.05  # of 0, where frequent tokens are to be, which the head's ReLU cuts
_NOISE = 0.02  # of the states, which a precision below float32 rounds
_EVEN = 0.7  # how much more often texts of a rare length are drawn; 1 is all lengths alike
_LENGTHS = (1.5, 2.5, 4.5, 8.5, 16.5, 40, 100, 200, 400, 1000)  # bounds of what is one length

_PAIRS = 24  # of a batch of the training data
_JOINED = (300, 600, 1200, 2400, 4800) * 4  # tokens of texts that are joined from these
_WORDS = range(1, 9)  # tokens of texts of any words
_EACH = 60  # of these for each length


def fitting_texts(sampler: Sampler, tokenizer: TextTokenizer, options: Options) -> list[Ints]:
    """Return token ids of texts that the units are fitted to, special ones left out."""
    drawn = random.Random(options.seed)  # noqa: S311  # no secret depends on it
    batches = [sampler.batch(_PAIRS) for _ in range(options.fit_batches)]
    read = [text for batch in batches for text in (*batch.queries, *batch.passages)]
    texts = [tokens.ids[1:-1] for tokens in tokenizer(read, options.long_length)]
    texts = [text for text in texts if len(text)]
    lengths = (min(length, options.positions - 2) for length in _JOINED)
    texts += [np.concatenate(drawn.choices(texts, k=200))[:length] for length in lengths]
    texts += [disguised(text, options.vocabulary, drawn) for text in texts]
    words = range(4, options.vocabulary)  # behind special tokens
    texts += [np.array(drawn.choices(words, k=count)) for count in _WORDS for _ in range(_EACH)]
    return texts


def fit_weights(model: M3Model, texts: Sequence[Ints], rarity: Floats, options: Options) -> float:
    """
    Set the last layer's units, and the sparse head, which reads what they write.

    Args:
        model: Whose last heads are set.
        texts: Token ids, special ones left out.
        rarity: How rare each token of the vocabulary is, at least 0.
        options: The sizes, and the seed.

    Returns:
        How far weights are from BM25's, as the root mean square; those of a short text are divided
        by the factor that they have for its length.
    """
    layer: Any = model.backbone.encoder.layer[-1]
    head: Any = model.sparse_linear
    with torch.no_grad():
        layer.output.LayerNorm.weight[[ZERO, COUNT]] = 1
        head.bias.zero_()
        head.weight.zero_()
        head.weight[0, [COUNT, ZERO]] = torch.tensor([1, -1]) / _LARGE
        layer.output.dense.weight[:, -UNITS:] = 0
        layer.output.dense.bias[COUNT] = 0
        states = _states(model, layer, texts)
    units = _Units(states, options.seed)
    error = _fit(units, states, _Goal.of(texts, rarity), options)
    with torch.no_grad():
        units.write(layer)
    return error


@dataclass(frozen=True, slots=True)
class _Goal:
    """
    What is wanted of each token.

    Args:
        weights: BM25's, before the head's ReLU; 0 of special tokens.
        factors: What these are multiplied by for the length of the text.
        shares: How often a token is drawn, to others.
    """

    weights: torch.Tensor
    factors: torch.Tensor
    shares: torch.Tensor

    @classmethod
    def of(cls, texts: Sequence[Ints], rarity: Floats) -> _Goal:
        """Return BM25's weights of some texts."""
        factors = [np.full(len(text) + 2, shortness(len(text))) for text in texts]
        rows = [
            np.pad(np.where(weights > 0, weights, -_BELOW * factor[0]), 1)
            for weights, factor in zip(lexical_weights(texts, rarity), factors, strict=True)
        ]
        bins = np.digitize([len(text) for text in texts], _LENGTHS)
        numbers = np.repeat(bins, [len(text) + 2 for text in texts])
        shares = 1 / np.bincount(numbers)[numbers] ** _EVEN
        weights, factor = (torch.from_numpy(np.concatenate(part)) for part in (rows, factors))
        return cls(weights, factor.float(), torch.from_numpy(shares))


@dataclass(frozen=True, slots=True)
class _States:
    """
    The last layer's states of all tokens of some texts, special tokens included.

    Args:
        read: What the units read, `(tokens, 5)`.
        sums: Of what the layer adds up before it is normalised, without the units: `COUNT`, `ZERO`,
            the sum of all dimensions and that of their squares, `(tokens, 4)`.
        width: How many dimensions there are.
    """

    read: torch.Tensor
    sums: torch.Tensor
    width: int

    def weights(self, rows: torch.Tensor, added: torch.Tensor) -> torch.Tensor:
        """Return what the sparse head computes where `added` is added to `COUNT`."""
        before, zero, total, squares = self.sums[rows].unbind(1)
        count = before + added
        total = total + added
        squares = squares - before.square() + count.square()
        variance = squares / self.width - (total / self.width).square()
        return (count - zero) / (variance + 1e-5).sqrt() / _LARGE


class _Units(nn.Module):
    """The units over standardised states, with kinks where there are states."""

    def __init__(self, states: _States, seed: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.centre, self.spread = states.read.mean(0), states.read.std(0) + _NOISE
        rows = torch.randint(len(states.read), (UNITS,), generator=generator)
        some = (states.read[rows] - self.centre) / self.spread
        inner = torch.randn(UNITS, len(_READ), generator=generator)
        self.inner, self.shift = nn.Parameter(inner), nn.Parameter(-(inner * some).sum(1))
        self.outer = nn.Parameter(torch.randn(UNITS, generator=generator) / 10)
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, read: torch.Tensor) -> torch.Tensor:
        """Return what the units add to `COUNT`."""
        standard = (read - self.centre) / self.spread
        return F.gelu(standard @ self.inner.T + self.shift) @ self.outer + self.bias

    def write(self, layer: Any) -> None:
        """Set the last units of a layer."""
        weight = self.inner / self.spread
        inner, output = layer.intermediate.dense, layer.output.dense
        inner.weight[-UNITS:] = 0
        inner.weight[-UNITS:, _READ] = weight
        inner.weight[-UNITS:, ZERO] = -weight.sum(1)
        inner.bias[-UNITS:] = self.shift - weight @ self.centre
        output.weight[COUNT, -UNITS:], output.bias[COUNT] = self.outer, self.bias


def _fit(units: _Units, states: _States, goal: _Goal, options: Options) -> float:
    """Train the units, and return the error of the last steps."""
    generator = torch.Generator().manual_seed(options.seed)
    optimizer = torch.optim.Adam(units.parameters(), lr=_RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, _RATE, total_steps=options.fit_steps, pct_start=0.05
    )
    reached = goal.shares.cumsum(0)
    losses = []
    for _ in range(options.fit_steps):
        drawn = torch.rand(_BATCH, generator=generator, dtype=reached.dtype) * reached[-1]
        rows = torch.searchsorted(reached, drawn).clamp(max=len(reached) - 1)
        noise = _NOISE * torch.randn(_BATCH, len(_READ), generator=generator)
        weights = states.weights(rows, units(states.read[rows] + noise))
        loss = ((weights - goal.weights[rows]) / goal.factors[rows]).square().mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    error: float = np.mean(losses[-100:]).item() ** 0.5
    return error


def _states(model: M3Model, layer: Any, texts: Sequence[Ints]) -> _States:
    read: list[torch.Tensor] = []
    sums: list[torch.Tensor] = []

    def add_read(_: object, given: tuple[torch.Tensor, ...]) -> None:
        (states,) = given[0]
        read.append(states[:, _READ] - states[:, ZERO, None])

    def add_sums(_: object, given: tuple[torch.Tensor, ...]) -> None:
        (states,) = given[0]
        total, squares = states.sum(1), states.square().sum(1)
        sums.append(torch.stack([states[:, COUNT], states[:, ZERO], total, squares], dim=1))

    hooks = [
        layer.intermediate.register_forward_pre_hook(add_read),
        layer.output.LayerNorm.register_forward_pre_hook(add_sums),
    ]
    for text in texts:
        pack = Pack.of([np.concatenate([[0], text, [2]])])
        hidden_states(model.backbone, pack, model.device)
    for hook in hooks:
        hook.remove()
    return _States(torch.cat(read), torch.cat(sums), model.backbone.config.hidden_size)
