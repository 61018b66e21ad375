"""A batch that does not fit into a device's memory, computed in halves."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch

from m3kit.backend.pipeline import Model
from m3kit.vectors import Ints, M3Output, Rep

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Halving:
    """
    A model whose batches are split in two when memory runs out, and go on.

    Args:
        model: What computes a batch.
        place: The device's name, for the user's eyes.
    """

    model: Model
    place: str

    @property
    def width(self) -> int:
        """Width of the dense vector."""
        return self.model.width

    @property
    def max_length(self) -> int:
        """How many tokens a text may have, special ones included."""
        return self.model.max_length

    @property
    def reps(self) -> frozenset[Rep]:
        """What it gives."""
        return self.model.reps

    def __call__(self, texts: Sequence[Ints], reps: Collection[Rep]) -> list[M3Output]:
        """
        Encode a batch, in as many parts as it takes.

        Raises:
            torch.OutOfMemoryError: If one text alone is too much.
        """
        return in_halves(
            lambda some: self.model(some, reps), texts, self.place, "document_max_length"
        )


def in_halves(
    compute: Callable[[Sequence[Ints]], list[_T]], texts: Sequence[Ints], place: str, limit: str
) -> list[_T]:
    """
    Compute a batch, and where memory runs out its halves.

    Args:
        compute: Gives a result for each text.
        texts: Their ids.
        place: The device's name, for the user's eyes.
        limit: The option that makes texts shorter.

    Raises:
        torch.OutOfMemoryError: If one text alone is too much.
    """
    try:
        return compute(texts)
    except torch.OutOfMemoryError as error:
        if len(texts) == 1:
            raise torch.OutOfMemoryError(
                f"a text of {len(texts[0]):,} tokens does not fit into the memory of {place}; "
                f"free some, pass a lower {limit}, or split the text"
            ) from error
    _give_back_memory()  # outside of `except`, whose traceback holds the tensors
    half = (len(texts) + 1) // 2
    halves = texts[:half], texts[half:]
    return [one for some in halves for one in in_halves(compute, some, place, limit)]


def _give_back_memory() -> None:
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
