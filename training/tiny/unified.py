"""Stage 2: M3's unified loss with self-distillation, over in-batch negatives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  # PyTorch's own name for it
from training.tiny.examples import Batch, Sampler
from training.tiny.lexical import lexical_weights
from training.tiny.options import Options

from m3kit.backend.checkpoint import read_checkpoint
from m3kit.backend.tokenizer import TextTokenizer, load_tokenizer
from m3kit.fusion import WeightedSum
from m3kit.training.losses import Groups, LossOptions, scores_of, unified_loss
from m3kit.training.model import M3Model
from m3kit.training.representations import Lexical, Representations
from m3kit.vectors import Floats

_FROZEN = ("position_embeddings", "token_type_embeddings")
_WARM = 50  # steps over which the learning rate rises
_SHARPEST = 1.0  # the norm that gradients are clipped to


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
        """Return the loss: M3's, with the sparse head at full weight."""
        return LossOptions(
            temperature=options.temperature,
            sparse_weight=1.0,
            ensemble_sparse=1.0,
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
    Train all heads of the checkpoint in a folder; nothing is written.

    The weights are the mean of those that training ends with and, a share of it, those that it
    began with: so it gains nearly as much where it was trained, and loses less elsewhere.
    """
    torch.manual_seed(options.seed)
    checkpoint = read_checkpoint("tiny", folder)
    tokenizer = load_tokenizer(folder, checkpoint.config)
    model = M3Model(checkpoint, unweighted=tokenizer.unweighted)
    for name, parameter in model.named_parameters():
        if any(part in name for part in _FROZEN):
            parameter.requires_grad_(False)  # noqa: FBT003  # PyTorch's signature
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    begun = [parameter.detach().clone() for parameter in trained]
    optimizer = torch.optim.AdamW(trained, lr=options.rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: _share(step, options.steps)
    )
    loss_options = variant.loss(options)
    losses = []
    for step in range(options.steps):
        batch = sampler.batch(options.batch)
        if len(batch.queries) < 2:
            continue
        encoded = _encoded(model, tokenizer, batch, options)
        loss = _ranking_loss(encoded, options, loss_options, step=step)
        loss = loss + options.lexical_weight * _lexical_loss(encoded, rarity)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), _SHARPEST)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        if (step + 1) % 50 == 0:
            report(f"stage 2, step {step + 1}: loss {np.mean(losses[-50:]):.3f}")
    with torch.no_grad():
        for parameter, before in zip(trained, begun, strict=True):
            parameter.lerp_(before, options.begun_share)
        # Of queries and of documents, so that M3's weighted sum is the ensemble's.
        scale = (loss_options.ensemble_sparse / WeightedSum().sparse) ** 0.5
        for parameter in model.get_submodule("sparse_linear").parameters():
            parameter.mul_(scale)
    return model


def _encoded(
    model: M3Model, tokenizer: TextTokenizer, batch: Batch, options: Options
) -> Representations:
    """Compute the representations of the queries, and behind them those of the passages."""
    texts = [
        *tokenizer(batch.queries, options.query_length),
        *tokenizer(batch.passages, options.length(batch.task)),
    ]
    encoded: Representations = model([tokens.ids for tokens in texts])
    return encoded


def _ranking_loss(
    encoded: Representations, options: Options, loss_options: LossOptions, *, step: int
) -> torch.Tensor:
    """Compute the unified loss in both directions."""
    numbers = torch.arange(len(_lexical(encoded).counts))
    count = len(numbers) // 2
    scores = scores_of(
        encoded.select(numbers[:count]), encoded.select(numbers[count:]), options.temperature
    )
    groups = Groups(numbers[:count, None], torch.zeros(count, count, dtype=torch.bool))
    forwards, _ = unified_loss(scores, groups, loss_options, step=step)
    turned = {rep: score.T for rep, score in scores.items()}
    backwards, _ = unified_loss(turned, groups, loss_options, step=step)
    return (forwards + backwards) / 2


def _lexical_loss(encoded: Representations, rarity: Floats) -> torch.Tensor:
    """Compute the mean square of how far the lexical weights are from BM25's."""
    lexical = _lexical(encoded)
    texts = np.split(lexical.ids.numpy(), lexical.counts.cumsum(0)[:-1].numpy())
    wanted = torch.from_numpy(np.concatenate(lexical_weights(texts, rarity)))
    return F.mse_loss(lexical.weights, wanted)


def _lexical(encoded: Representations) -> Lexical:
    if encoded.sparse is None:
        raise ValueError("the model computed no lexical weights, which all of its heads are to")
    return encoded.sparse


def _share(step: int, steps: int) -> float:
    """Return the share of the learning rate: a short rise, then half a cosine."""
    if step < _WARM:
        return (step + 1) / _WARM
    return 0.5 * (1 + float(np.cos(np.pi * (step - _WARM) / max(1, steps - _WARM))))
