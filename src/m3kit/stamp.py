"""What an index says of itself: kept beside its data, and checked whenever it is opened."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Self

from m3kit.index import ModelMismatchError, NoIndexError, RepError, check_model
from m3kit.vectors import REPS, Rep

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Stamp:
    """
    The shape of an index, and what made its vectors.

    Args:
        dim: The width of the vectors.
        reps: The representations it holds.
        model: As `Encoder.model` says, where the index was told.

    Raises:
        ValueError: If the width is below 1.
        RepError: If there is no representation, or an unknown one.
    """

    dim: int
    reps: frozenset[Rep]
    model: str | None

    def __post_init__(self) -> None:
        if self.dim < 1:
            raise ValueError(f"the width of vectors is at least 1, not {self.dim}")
        if not self.reps or not self.reps <= set(REPS):
            raise RepError(
                f"an index holds some of {', '.join(REPS)}, not {', '.join(self.reps) or 'none'}"
            )

    @classmethod
    def new(cls, dim: int | None, reps: Collection[Rep], model: str | None, what: str) -> Self:
        """
        Describe an index that is to be made.

        Raises:
            NoIndexError: If there is no `dim`: nothing is to be made.
        """
        if dim is None:
            raise NoIndexError(f"there is no index at {what}; give dim to make one")
        return cls(dim, frozenset(reps), model)

    @classmethod
    def from_json(cls, kept: object, what: str) -> Self:
        """
        Read what `to_json` wrote.

        Raises:
            NoIndexError: If it is something else, or of a later format.
        """
        match kept:
            case {"format": int(format_)} if format_ > FORMAT:
                raise NoIndexError(
                    f"{what} is of format {format_}, and this m3kit reads {FORMAT}; upgrade m3kit"
                )
            case {"dim": int(dim), "reps": list(reps), "model": str() | None as model}:
                return cls(dim, frozenset(reps), model)
            case _:
                raise NoIndexError(f"{what} holds no index of m3kit's")

    def to_json(self) -> Mapping[str, Any]:
        """Write it in JSON's words."""
        return {"format": FORMAT, "dim": self.dim, "reps": self._ordered(), "model": self.model}

    def __str__(self) -> str:
        return f"dim={self.dim}, reps={tuple(self._ordered())}, model={self.model!r}"

    def check(self, dim: int | None, model: str | None, what: str) -> None:
        """
        Compare with who wants to use it; None is not compared.

        Raises:
            ModelMismatchError: If it was made by another model or with another width.
        """
        check_model(self.model, model, what)
        if dim is not None and dim != self.dim:
            raise ModelMismatchError(
                f"the vectors of {what} are {self.dim} wide, and {dim} is asked for; use the "
                "model that made it, or index the documents anew at another address"
            )

    def _ordered(self) -> list[Rep]:
        return [rep for rep in REPS if rep in self.reps]
