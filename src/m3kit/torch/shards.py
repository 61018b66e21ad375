"""A batch divided among several devices."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from m3kit.backend.pipeline import Model
from m3kit.vectors import Ints, M3Output, Rep


@dataclass(frozen=True, slots=True)
class Shards:
    """
    The same model on several devices, each of which gets about as many tokens of every batch.

    What one of them raises is raised, once the others are done.

    Args:
        models: At least one; they share no state.
    """

    models: Sequence[Model]

    @property
    def width(self) -> int:
        """Width of the dense vector."""
        return self.models[0].width

    @property
    def max_length(self) -> int:
        """How many tokens a text may have, special ones included."""
        return self.models[0].max_length

    @property
    def reps(self) -> frozenset[Rep]:
        """What they give."""
        return self.models[0].reps

    def __call__(self, texts: Sequence[Ints], reps: Collection[Rep]) -> list[M3Output]:
        """Encode a batch, all devices at once."""
        shards = [
            shard for shard in balanced([len(ids) for ids in texts], len(self.models)) if shard
        ]
        outputs: dict[int, M3Output] = {}
        with ThreadPoolExecutor(len(shards)) as pool:
            made = pool.map(
                lambda model, shard: model([texts[number] for number in shard], reps),
                self.models,
                shards,
            )
            for shard, part in zip(shards, made, strict=False):
                outputs.update(zip(shard, part, strict=True))
        return [outputs[number] for number in range(len(texts))]


def balanced(lengths: Sequence[int], count: int) -> list[list[int]]:
    """
    Divide items among `count` shards: the longest first, each to the shard that has the least.

    Returns:
        The numbers of each shard's items; neighbours in it have similar lengths.
    """
    loads = [(0, shard) for shard in range(count)]
    shards: list[list[int]] = [[] for _ in range(count)]
    for number in sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True):
        load, shard = heapq.heappop(loads)
        shards[shard].append(number)
        heapq.heappush(loads, (load + lengths[number], shard))
    return shards
