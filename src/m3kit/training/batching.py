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
            members = members[np.argsort(levels[members], kind="stable")]
        cuts = _cuts(levels[members], options, processes)
        cuts = _without_short_end(cuts, members, np.asarray(alone, dtype=bool), processes)
        parts = [members[first:last] for first, last in pairwise(cuts)]
        units += [[part[rank::processes] for rank in range(processes)] for part in parts]
    order = random.permutation(len(units))
    return [batch for number in order for batch in units[number]]


def _cuts(levels: Ints, options: BatchOptions, processes: int) -> list[int]:
    """
    Cut examples in order of their length; sizes are rounded up to those of their level.

    So cuts depend on the lengths alone, not on the shuffling.
    """
    largest = np.exp2(np.maximum.accumulate(levels) / _LEVELS)
    cuts, first = [0], 0
    for place in range(1, len(levels) + 1):
        queries = -(-(place + 1 - first) // processes)
        full = place == len(levels) or queries > options.batch_size
        if full or queries * largest[place] > max(options.batch_tokens, largest[place]):
            cuts.append(place)
            first = place
    return cuts


def _without_short_end(cuts: list[int], members: Ints, alone: Ints, processes: int) -> list[int]:
    """Give the last batch to the one before, where a device would have nothing to compare."""
    *rest, last, end = cuts
    few = end - last
    if few >= 2 * processes or (few >= processes and alone[members[last:]].all()):
        return cuts
    if rest:
        return [*rest, end]
    raise TrainingError(
        f"a task of {few} examples is too small for {processes} devices: a batch needs two queries "
        "or a query with a negative on each; add examples, or negatives (m3kit mine), or mix tasks"
    )
