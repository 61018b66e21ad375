"""The loss of a batch, on one device or on several."""

from __future__ import annotations

import torch

from m3kit.training.batches import Batch
from m3kit.training.collectives import gather, gather_representations, rank, sizes
from m3kit.training.losses import Groups, LossOptions, scores_of, unified_loss
from m3kit.training.representations import Representations


def batch_loss(
    texts: Representations, batch: Batch, options: LossOptions, *, step: int = 0
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """
    Compute the loss of a batch from the representations of its queries, then its passages.

    With negatives across devices, each compares its own queries with the passages of all; the
    mean of the devices' losses is the loss of one device with all queries, and so are gradients.

    Returns:
        The loss, and its parts without their weights, see `unified_loss`.
    """
    device = next(iter(texts.values.values())).device
    numbers = torch.arange(len(batch.queries) + len(batch.passages), device=device)
    queries = texts.select(numbers[: len(batch.queries)])
    passages = texts.select(numbers[len(batch.queries) :])
    members, keys, positives = (
        torch.from_numpy(array).to(device) for array in (batch.members, batch.keys, batch.positives)
    )
    share = 1.0
    if options.cross_device_negatives and batch.in_batch:
        counts = sizes(len(batch.passages), device)
        members = torch.where(members >= 0, members + sum(counts[: rank()]), members)
        passages, keys = gather_representations(passages), gather(keys)
        queries_of_all = sizes(len(batch.queries), device)
        share = len(batch.queries) * len(queries_of_all) / sum(queries_of_all)
    teacher = None if batch.teacher is None else torch.from_numpy(batch.teacher).to(device)
    groups = Groups(members, excluded(members, keys, positives), teacher)
    scores = scores_of(queries, passages, options.temperature)
    loss, parts = unified_loss(scores, groups, options, step=step, in_batch=batch.in_batch)
    return loss * share, parts


def excluded(members: torch.Tensor, keys: torch.Tensor, positives: torch.Tensor) -> torch.Tensor:
    """
    Return which passages are no negatives of a query: those that equal one of its positives.

    Args:
        members: See `Groups`.
        keys: A hash of each passage.
        positives: The hashes of the positives of each query, `(queries, most positives)`.

    Returns:
        Shape `(queries, passages)`; False for the positive itself.
    """
    equal = torch.zeros(len(members), len(keys), dtype=torch.bool, device=keys.device)
    for column in positives.unbind(1):
        equal |= column[:, None] == keys
    equal[torch.arange(len(members), device=keys.device), members[:, 0]] = False
    return equal
