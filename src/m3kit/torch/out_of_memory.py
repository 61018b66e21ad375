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
    A model that computes a batch in halves when memory runs out.

    Args:
        model: Computes a batch.
        device: The device's name, for messages.
    """

    model: Model
    device: str

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
        """The representations that it computes."""
        return self.model.reps

    def __call__(self, texts: Sequence[Ints], reps: Collection[Rep]) -> list[M3Output]:
        """
        Encode a batch, in as many parts as it takes.

        Raises:
            torch.OutOfMemoryError: If a single text does not fit.
        """
        return in_halves(
            lambda part: self.model(part, reps), texts, self.device, "document_max_length"
        )


def in_halves(
    compute: Callable[[Sequence[Ints]], list[_T]], texts: Sequence[Ints], device: str, limit: str
) -> list[_T]:
    """
    Compute a batch, or its halves if memory runs out.

    Args:
        compute: Gives a result for each text.
        texts: Their ids.
        device: The device's name, for messages.
        limit: The option that makes texts shorter.

    Raises:
        torch.OutOfMemoryError: If a single text does not fit.
    """
    try:
        return compute(texts)
    except torch.OutOfMemoryError as error:
        if len(texts) == 1:
            raise torch.OutOfMemoryError(
                f"a text of {len(texts[0]):,} tokens does not fit into the memory of {device}; "
                f"free some, pass a lower {limit}, or split the text"
            ) from error
    _release_memory()  # outside of `except`, since its traceback refers to the tensors
    middle = (len(texts) + 1) // 2
    halves = texts[:middle], texts[middle:]
    return [result for half in halves for result in in_halves(compute, half, device, limit)]


def _release_memory() -> None:
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
