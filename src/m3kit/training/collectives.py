"""Tensors of all processes, through which gradients go back to where each was computed."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist

from m3kit.training.representations import Lexical, Representations, Vectors


def world_size() -> int:
    """Return the number of processes that train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Return the number of this process among them."""
    return dist.get_rank() if world_size() > 1 else 0


def gather(tensor: torch.Tensor) -> torch.Tensor:
    """
    Concatenate a tensor of every process along the first dimension, in the order of their ranks.

    The first dimension may differ between processes. The gradient of a process' rows is the sum
    of what all processes pass back.
    """
    if world_size() == 1:
        return tensor
    gathered: torch.Tensor = _Gather.apply(tensor)
    return gathered


def gather_representations(texts: Representations) -> Representations:
    """Concatenate the texts of all processes."""
    return Representations(
        dense=None if texts.dense is None else gather(texts.dense),
        sparse=texts.sparse
        and Lexical(
            gather(texts.sparse.weights), gather(texts.sparse.ids), gather(texts.sparse.counts)
        ),
        colbert=texts.colbert
        and Vectors(gather(texts.colbert.vectors), gather(texts.colbert.counts)),
    )


def sizes(count: int, device: torch.device) -> list[int]:
    """Return a number of every process, in the order of their ranks."""
    if world_size() == 1:
        return [count]
    numbers = torch.zeros(world_size(), dtype=torch.int64, device=device)
    numbers[rank()] = count
    dist.all_reduce(numbers)
    counts: list[int] = numbers.tolist()
    return counts


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: torch.Tensor) -> torch.Tensor:
        counts = sizes(len(tensor), tensor.device)
        padded = tensor.new_zeros(max(counts), *tensor.shape[1:])
        padded[: len(tensor)] = tensor
        parts = [torch.empty_like(padded) for _ in counts]
        dist.all_gather(parts, padded)
        start = sum(counts[: rank()])
        ctx.rows = slice(start, start + len(tensor))
        return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        (gradient,) = gradients
        total = gradient.contiguous().clone()
        dist.all_reduce(total)
        return total[ctx.rows]
