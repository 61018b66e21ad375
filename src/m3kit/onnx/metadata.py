"""The metadata of a graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal, Self, TypeAlias

from m3kit.backend.files import CheckpointError

Precision: TypeAlias = Literal["fp32", "int8"]
"""How a graph computes: in float32, or with its large matrices in 8 bits."""

PRECISIONS: tuple[Precision, ...] = ("fp32", "int8")
"""All of them, the most exact one first."""

PATTERNS = [f"{precision}.*" for precision in PRECISIONS]
"""The files of each: the graph and its weights."""

_PREFIX = "m3kit."


def wanted(output: str) -> str:
    """Return the name of the input that switches an output on."""
    return f"with_{output}"


@dataclass(frozen=True, slots=True)
class Facts:
    """
    What is not to be seen from a graph's inputs and outputs.

    Args:
        model: The name and the fingerprint of the checkpoint: `"BAAI/bge-m3@5617a9f6"`.
        max_length: How many tokens a text may have, special ones included.
        vocab_size: How many token ids have an embedding.
    """

    model: str
    max_length: int
    vocab_size: int

    @property
    def name(self) -> str:
        """The checkpoint's name alone."""
        return self.model.rpartition("@")[0]

    def to_metadata(self) -> dict[str, str]:
        """Return them in the form that a graph stores."""
        return {f"{_PREFIX}{name}": str(value) for name, value in asdict(self).items()}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str], what: str) -> Self:
        """
        Read them again.

        Raises:
            CheckpointError: If they are not there.
        """
        model, *numbers = (
            metadata.get(_PREFIX + name, "") for name in ("model", "max_length", "vocab_size")
        )
        if not model or not all(number.isdecimal() for number in numbers):
            raise CheckpointError(
                f"{what} is a graph of another program; write one with `m3kit export`"
            )
        return cls(model, *map(int, numbers))
