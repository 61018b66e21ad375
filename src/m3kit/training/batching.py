"""Batches of one task and of similar length, as large as a budget of tokens allows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from m3kit.training.errors import TrainingError
from m3kit.vectors import Ints

_LEVELS = 4  # classes of length from one power of two to the next


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchOptions:
    """
    The size of batches.

    Args:
        batch_size: The largest number of queries of a batch, on each device.
        batch_tokens: The largest number of tokens of a batch, queries and passages together, on
            each device; a larger example is a batch of its own. Lengths are estimated for this.
        same_task: Whether a batch has examples of one file and one type alone.
        group_by_length: Whether a batch has examples of similar length.

    Raises:
        ValueError: If a size is not positive.
    """

    batch_size: int = 32
    batch_tokens: int = 65_536
    same_task: bool = True
    group_by_length: bool = True

    def __post_init__(self) -> None:
        for name in ("batch_size", "batch_tokens"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is at least 1, not {getattr(self, name)}")


def plan(
    sizes: Ints,
    tasks: Ints,
    alone: Sequence[bool] | Ints,
    options: BatchOptions,
    *,
    epoch: int,
    seed: int,
    processes: int = 1,
) -> list[Ints]:
    """
    Divide examples into batches for an epoch; each example is in one of them.

    `processes` batches in a row go to as many devices; they are of one task and of similar length,
    and nearly the same number of queries. Their number is the same in every epoch.

    Args:
        sizes: Tokens of each example.
        tasks: The number of each example's task.
        alone: Whether each example teaches something without others in its batch.
        options: How large batches are.
        epoch: From 0; with the seed it determines the order.
        seed: Of the shuffling.
        processes: How many devices there are.

    Returns:
        Numbers of examples; a multiple of `processes` batches.

    Raises:
        TrainingError: If an example would be alone in its batch, and has no negative.
    """
    random = np.random.default_rng((seed, epoch))
    shuffled = random.permutation(len(sizes))
    levels = np.ceil(np.log2(np.maximum(sizes, 1)) * _LEVELS).astype(np.int64)
    units: list[list[Ints]] = []
    keys = tasks if options.same_task else np.zeros_like(tasks)
    for task in np.unique(keys):
        members = shuffled[keys[shuffled] == task]
        if options.group_by_length:
            members = members[np.argsort(-levels[members], kind="stable")]
            upper = levels[members]
        else:
            upper = np.full(len(members), levels[members].max())
        sole = bool(np.asarray(alone, dtype=bool)[members].all())
        cuts = _with_full_end(_cuts(upper, options, processes), 1 if sole else 2, processes)
        parts = [members[first:last] for first, last in pairwise(cuts)]
        units += [[part[rank::processes] for rank in range(processes)] for part in parts]
    order = random.permutation(len(units))
    return [batch for number in order for batch in units[number]]


def _cuts(levels: Ints, options: BatchOptions, processes: int) -> list[int]:
    """
    Cut examples, the longest first; sizes are rounded up to those of their level.

    So cuts depend on the lengths alone, not on the shuffling.
    """
    largest = np.exp2(levels / _LEVELS)
    cuts, first = [0], 0
    for place in range(1, len(levels)):
        queries = -(-(place + 1 - first) // processes)
        tokens = queries * largest[first]
        if queries > options.batch_size or (queries > 1 and tokens > options.batch_tokens):
            cuts.append(place)
            first = place
    return [*cuts, len(levels)]


def _with_full_end(cuts: list[int], least: int, processes: int) -> list[int]:
    """Divide the last two batches evenly, or join them, if the last has too few queries."""
    few = least * processes
    if len(cuts) > 2 and cuts[-1] - cuts[-2] < few:
        before, end = cuts[-3], cuts[-1]
        middle = [(before + end) // 2] if end - before >= 2 * few else []
        cuts = [*cuts[:-2], *middle, end]
    smallest = min(last - first for first, last in pairwise(cuts))
    if smallest < few:
        raise TrainingError(
            f"a batch of {smallest} examples for {processes} devices has nothing to compare a "
            "positive with: it needs two queries on each, or negatives for all queries of the "
            "task; raise batch_size and batch_tokens, add examples, or negatives (m3kit mine)"
        )
    return cuts
