"""
M3's losses: InfoNCE of each representation and of their ensemble, and self-knowledge distillation.

The notation is that of the paper (https://arxiv.org/abs/2402.03216, section 3.3); the defaults are
its weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
import torch.nn.functional as F  # noqa: N812  # PyTorch's own name for it

from m3kit.training.maxsim import colbert_scores
from m3kit.training.representations import Representations
from m3kit.training.sparse import sparse_scores
from m3kit.vectors import Rep

Teacher: TypeAlias = Literal["kl", "listwise"]
"""How the scores of a teacher are learnt, see `teacher_loss`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LossOptions:
    """
    The loss and its weights.

    Args:
        temperature: What scores are divided by.
        dense_weight: Weight of the dense loss, and of its self-distillation (the paper's λ₁).
        sparse_weight: The same of the sparse loss (λ₂).
        colbert_weight: The same of the ColBERT loss (λ₃).
        ensemble_weight: Weight of the loss of the ensemble.
        ensemble_dense: Weight of the dense score in the ensemble's (the paper's w₁).
        ensemble_sparse: The same of the sparse score (w₂).
        ensemble_colbert: The same of the ColBERT score (w₃).
        self_distill: Whether the ensemble teaches each representation.
        self_distill_start: The optimizer step, from 0, with which that begins.
        self_distill_weight: Its weight beside that of the losses above, which is 1.
        teacher: How the scores in the data are learnt; None ignores them.
        in_batch_negatives: Whether the passages of other queries are negatives.
        cross_device_negatives: Whether those on other devices are, too, for every representation.

    Raises:
        ValueError: If a value makes no sense.
    """

    temperature: float = 0.02
    dense_weight: float = 1.0
    sparse_weight: float = 0.1
    colbert_weight: float = 1.0
    ensemble_weight: float = 1.0
    ensemble_dense: float = 1.0
    ensemble_sparse: float = 0.3
    ensemble_colbert: float = 1.0
    self_distill: bool = True
    self_distill_start: int = 0
    self_distill_weight: float = 1.0
    teacher: Teacher | None = None
    in_batch_negatives: bool = True
    cross_device_negatives: bool = False

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise ValueError(f"temperature is above 0, not {self.temperature}; M3's is 0.02")
        if self.teacher not in {None, "kl", "listwise"}:
            raise ValueError(f'teacher is "kl", "listwise" or None, not {self.teacher!r}')
        if self.cross_device_negatives and not self.in_batch_negatives:
            raise ValueError(
                "negatives of other devices are in-batch negatives; allow both, or none"
            )

    @property
    def weights(self) -> dict[Rep, float]:
        """The weight of each representation's loss."""
        return {
            "dense": self.dense_weight,
            "sparse": self.sparse_weight,
            "colbert": self.colbert_weight,
        }

    @property
    def ensemble(self) -> dict[Rep, float]:
        """The weight of each representation's score in the ensemble."""
        return {
            "dense": self.ensemble_dense,
            "sparse": self.ensemble_sparse,
            "colbert": self.ensemble_colbert,
        }


@dataclass(frozen=True, slots=True)
class Groups:
    """
    Which passages of a batch belong to which query.

    Args:
        members: The number of each query's positive, then of its negatives; int64 of shape
            `(queries, largest group)`, -1 where a query has fewer.
        excluded: Passages that are no negatives of a query, as they equal a positive of it; bool
            of shape `(queries, passages)`.
        teacher: A score for each of `members`, or None.
    """

    members: torch.Tensor
    excluded: torch.Tensor
    teacher: torch.Tensor | None = None

    @property
    def present(self) -> torch.Tensor:
        """Which of `members` there are."""
        return self.members >= 0

    def hide(self, scores: torch.Tensor, *, in_batch: bool) -> torch.Tensor:
        """Set to the least number the scores of passages that a query is not compared with."""
        hidden = self.excluded
        if not in_batch:
            other = torch.ones_like(hidden)
            rows, columns = self.present.nonzero(as_tuple=True)
            other[rows, self.members[rows, columns]] = False
            hidden = hidden | other
        return scores.masked_fill(hidden, _least(scores))

    def of(self, scores: torch.Tensor) -> torch.Tensor:
        """Return the scores of `members`, the least number where there is none."""
        gathered = scores.gather(1, self.members.clamp_min(0))
        return gathered.masked_fill(~self.present, _least(scores))


def info_nce(scores: torch.Tensor, groups: Groups) -> torch.Tensor:
    """Compute the mean cross-entropy of each query's positive among the passages it may see."""
    return F.cross_entropy(scores, groups.members[:, 0])


def distillation(teacher: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
    """Compute the mean cross-entropy of a teacher's probabilities, without gradient to these."""
    return -(teacher.detach() * torch.log_softmax(scores, dim=-1)).sum(-1).mean()


def listwise(teacher: torch.Tensor, scores: torch.Tensor, groups: Groups) -> torch.Tensor:
    """
    Compute the M3 report's listwise loss: each member of a group against what it does not precede.

    The i-th member is compared with all passages but the members before it, and counts by the
    teacher's probability for it.

    Args:
        teacher: Shape `(queries, largest group)`.
        scores: Shape `(queries, passages)`.
        groups: The members, in the order of the teacher's probabilities.
    """
    total = scores.new_zeros(())
    for place in range(groups.members.shape[1]):
        present = groups.present[:, place]
        target = groups.members[:, place].clamp_min(0)
        losses = F.cross_entropy(scores, target, reduction="none")
        total = total + (teacher[:, place] * losses)[present].sum() / len(scores)
        rows = present.nonzero().squeeze(1)
        scores = scores.index_put((rows, target[rows]), scores.new_tensor(_least(scores)))
    return total


def teacher_loss(scores: torch.Tensor, groups: Groups, teacher: Teacher | None) -> torch.Tensor:
    """
    Compute the loss of one kind of score, which is InfoNCE alone without a teacher.

    `"kl"` adds the cross-entropy of the teacher's probabilities within each group; `"listwise"`
    takes the place of InfoNCE.
    """
    if teacher is None or groups.teacher is None:
        return info_nce(scores, groups)
    probabilities = groups.teacher.masked_fill(~groups.present, -torch.inf).softmax(-1)
    if teacher == "listwise":
        return listwise(probabilities, scores, groups)
    return info_nce(scores, groups) + distillation(probabilities, groups.of(scores))


def scores_of(
    queries: Representations, passages: Representations, temperature: float
) -> dict[Rep, torch.Tensor]:
    """Compute the scores of all representations, each of shape `(queries, passages)`."""
    scores: dict[Rep, torch.Tensor] = {}
    if queries.dense is not None and passages.dense is not None:
        scores["dense"] = queries.dense @ passages.dense.T
    if queries.sparse is not None and passages.sparse is not None:
        scores["sparse"] = sparse_scores(queries.sparse, passages.sparse)
    if queries.colbert is not None and passages.colbert is not None:
        scores["colbert"] = colbert_scores(queries.colbert, passages.colbert)
    return {rep: score / temperature for rep, score in scores.items()}


def unified_loss(
    scores: Mapping[Rep, torch.Tensor],
    groups: Groups,
    options: LossOptions,
    *,
    step: int = 0,
    in_batch: bool = True,
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """
    Compute M3's loss: `(L + L') / 2`, with `L` of the labels and `L'` of the self-distillation.

    With one representation there is neither an ensemble nor a distillation.

    Args:
        scores: Of each representation, divided by the temperature.
        groups: Which passages belong to which query.
        options: The weights.
        step: The optimizer step, from 0.
        in_batch: Whether the passages of other queries are negatives, if the options allow them.

    Returns:
        The loss, and its parts without their weights: by representation, `"ensemble"`, and with
        `"_distill"` behind the name those of the distillation.
    """
    in_batch = in_batch and options.in_batch_negatives
    visible = {rep: groups.hide(score, in_batch=in_batch) for rep, score in scores.items()}
    parts: dict[str, torch.Tensor] = {
        rep: teacher_loss(score, groups, options.teacher) for rep, score in visible.items()
    }
    total = torch.stack([options.weights[rep] * parts[rep] for rep in visible]).sum()
    if len(visible) == 1:
        return total, parts
    summed = torch.stack([options.ensemble[rep] * score for rep, score in scores.items()]).sum(0)
    ensemble = groups.hide(summed, in_batch=in_batch)
    parts["ensemble"] = teacher_loss(ensemble, groups, options.teacher)
    loss = (total + options.ensemble_weight * parts["ensemble"]) / (len(visible) + 1)
    if not options.self_distill or step < options.self_distill_start:
        return loss, parts
    probabilities = ensemble.detach().softmax(-1)
    distilled = {rep: distillation(probabilities, score) for rep, score in visible.items()}
    parts |= {f"{rep}_distill": part for rep, part in distilled.items()}
    taught = torch.stack([options.weights[rep] * part for rep, part in distilled.items()]).sum()
    weight = options.self_distill_weight
    return (loss + weight * taught / len(visible)) / (1 + weight), parts


def _least(scores: torch.Tensor) -> float:
    return torch.finfo(scores.dtype).min
