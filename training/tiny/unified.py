"""Stage 2: M3's unified loss of dense and ColBERT vectors, over in-batch negatives."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from training.tiny.counting import counting_entries
from training.tiny.examples import Batch, Sampler
from training.tiny.fitting import fit_weights, fitting_texts
from training.tiny.lexical import disguised
from training.tiny.options import Options

from m3kit.backend.checkpoint import read_checkpoint
from m3kit.backend.tokenizer import TextTokenizer, load_tokenizer
from m3kit.fusion import WeightedSum
from m3kit.training.losses import Groups, LossOptions, scores_of, unified_loss
from m3kit.training.model import M3Model
from m3kit.training.representations import Representations
from m3kit.vectors import Floats, Ints

_FROZEN = ("position_embeddings", "token_type_embeddings")
_WARM = 50  # steps over which the learning rate rises
_SHARPEST = 1.0  # the norm that gradients are clipped to
_LEXICAL = 1.5  # weight of the lexical score beside the others, by the development sets
_OTHER_QUERIES, _OTHER_PASSAGES, _OTHER_LENGTH = 8, 16, 96  # texts of any words in a step


@dataclass(frozen=True, slots=True)
class Variant:
    """
    What an ablation leaves out.

    Args:
        self_distill: Whether the ensemble teaches each head.
        ensemble: Whether the ensemble has a loss.
        neighbours: Whether batches have sections of one page, which are hard negatives.
    """

    self_distill: bool = True
    ensemble: bool = True
    neighbours: bool = True

    def loss(self, options: Options) -> LossOptions:
        """Return M3's loss."""
        return LossOptions(
            temperature=options.temperature,
            ensemble_weight=1.0 if self.ensemble else 0.0,
            self_distill=self.self_distill,
            self_distill_start=options.steps // 5,
        )


def train_unified(
    folder: Path,
    sampler: Sampler,
    rarity: Floats,
    options: Options,
    report: Callable[[str], None],
    *,
    variant: Variant,
) -> M3Model:
    """
    Train dense and ColBERT vectors of the checkpoint in a folder, and fit its lexical weights.

    Nothing is written. What counts tokens is kept as it is. A loss keeps the dense vectors of texts
    in which half of the words are replaced by any others near those that the checkpoint has. The
    model is the mean of the weights that training ends with and, a share of it, those that it
    began with: so it gains where it was trained, and loses less elsewhere.
    """
    torch.manual_seed(options.seed)
    checkpoint = read_checkpoint("tiny", folder)
    tokenizer = load_tokenizer(folder, checkpoint.config)
    model = M3Model(checkpoint, unweighted=tokenizer.unweighted)
    first = M3Model(checkpoint, unweighted=tokenizer.unweighted, heads=["dense"])
    others = _Others(first, tokenizer, options)
    trained = {}
    for name, parameter in model.named_parameters():
        if any(part in name for part in _FROZEN):
            parameter.requires_grad_(False)  # noqa: FBT003  # PyTorch's signature
        else:
            trained[name] = parameter
    counting = {name: counting_entries(name, trained[name], options) for name in trained}
    begun = {name: parameter.detach().clone() for name, parameter in trained.items()}
    directions = _Directions(model, options)
    optimizer = torch.optim.AdamW(trained.values(), lr=options.rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: _share(step, options.steps)
    )
    loss_options = variant.loss(options)
    losses = []
    for step in range(options.steps):
        batch = sampler.batch(options.batch)
        if len(batch.queries) < 2:
            continue
        loss = _ranking_loss(model, tokenizer, batch, options, loss_options, step=step)
        loss = loss + options.kept_weight * others.moved(model, batch)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        for name, parameter in trained.items():
            if parameter.grad is not None:
                parameter.grad[counting[name]] = 0
        torch.nn.utils.clip_grad_norm_(trained.values(), _SHARPEST)
        optimizer.step()
        schedule.step()
        directions.restore_lengths()
        losses.append(loss.item())
        if (step + 1) % 50 == 0:
            report(f"stage 2, step {step + 1}: loss {np.mean(losses[-50:]):.3f}")
    with torch.no_grad():
        for name, parameter in trained.items():
            parameter.lerp_(begun[name], options.begun_share)
            parameter[counting[name]] = begun[name][counting[name]]  # weight decay changed them
    directions.restore_lengths()
    error = fit_weights(model, fitting_texts(sampler, tokenizer, options), rarity, options)
    report(f"lexical weights differ from BM25's by {error:.4f}")
    with torch.no_grad():
        # Of queries and of documents, so that M3's weighted sum has their product at this weight.
        scale = (_LEXICAL / WeightedSum().sparse) ** 0.5
        model.get_parameter("sparse_linear.weight").mul_(scale)
    return model


class _Others:
    """Texts that the data do not have, and what the model computed of them at first."""

    def __init__(self, first: M3Model, tokenizer: TextTokenizer, options: Options) -> None:
        self._first = first.requires_grad_(False)  # noqa: FBT003  # PyTorch's signature
        self._tokenizer = tokenizer
        self._options = options
        self._random = random.Random(options.seed)  # noqa: S311  # no secret depends on it

    def moved(self, model: M3Model, batch: Batch) -> torch.Tensor:
        """Compute the mean cosine distance of dense vectors from those at first."""
        texts = [
            *self._tokens(batch.queries, _OTHER_QUERIES, self._options.query_length),
            *self._tokens(batch.passages, _OTHER_PASSAGES, _OTHER_LENGTH),
        ]
        now, first = (_dense(each(texts)) for each in (model, self._first))
        return 1 - (now * first).sum(-1).mean()

    def _tokens(self, texts: list[str], count: int, limit: int) -> list[Ints]:
        drawn = self._random.sample(texts, min(count, len(texts)))
        rows = [tokens.ids for tokens in self._tokenizer(drawn, limit)]
        for row in rows:
            row[1:-1] = disguised(row[1:-1], self._options.vocabulary, self._random)
        return rows


class _Directions:
    """The part of word embeddings that is trained, of which the length is kept."""

    def __init__(self, model: M3Model, options: Options) -> None:
        words = model.backbone.embeddings.word_embeddings.weight.detach()
        self._rows = words[:, : options.pooled]
        self._lengths = self._rows.norm(dim=1, keepdim=True)

    def restore_lengths(self) -> None:
        """Give rows the lengths that they had, on which the size of a token's code depends."""
        self._rows.mul_(self._lengths / self._rows.norm(dim=1, keepdim=True).clamp_min(1e-12))


def _ranking_loss(
    model: M3Model,
    tokenizer: TextTokenizer,
    batch: Batch,
    options: Options,
    loss_options: LossOptions,
    *,
    step: int,
) -> torch.Tensor:
    """Compute the unified loss of dense and ColBERT vectors, in both directions."""
    texts = [
        *tokenizer(batch.queries, options.query_length),
        *tokenizer(batch.passages, options.length(batch.task)),
    ]
    encoded = replace(model([tokens.ids for tokens in texts]), sparse=None)
    count = len(batch.queries)
    numbers = torch.arange(2 * count)
    scores = scores_of(
        encoded.select(numbers[:count]), encoded.select(numbers[count:]), options.temperature
    )
    groups = Groups(numbers[:count, None], torch.zeros(count, count, dtype=torch.bool))
    forwards, _ = unified_loss(scores, groups, loss_options, step=step)
    turned = {rep: score.T for rep, score in scores.items()}
    backwards, _ = unified_loss(turned, groups, loss_options, step=step)
    return (forwards + backwards) / 2


def _dense(encoded: Representations) -> torch.Tensor:
    if encoded.dense is None:
        raise ValueError("the model computed no dense vectors, which all of its heads are to")
    return encoded.dense


def _share(step: int, steps: int) -> float:
    """Return the share of the learning rate: a short rise, then half a cosine."""
    if step < _WARM:
        return (step + 1) / _WARM
    return 0.5 * (1 + float(np.cos(np.pi * (step - _WARM) / max(1, steps - _WARM))))
