"""What an index says of itself: kept beside its data, and checked whenever it is opened."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Self

from m3kit.index import ModelMismatchError, NoIndexError, RepError, check_model
from m3kit.storage import ColbertStorage
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
        colbert: How ColBERT vectors are kept, where it holds them.

    Raises:
        ValueError: If the width is below 1.
        RepError: If there is no representation, or an unknown one.
    """

    dim: int
    reps: frozenset[Rep]
    model: str | None
    colbert: ColbertStorage = ColbertStorage()  # noqa: RUF009  # frozen, so one default serves all

    def __post_init__(self) -> None:
        check_shape(self.dim, self.reps)

    @classmethod
    def new(
        cls,
        dim: int | None,
        reps: Collection[Rep],
        model: str | None,
        what: str,
        *,
        colbert: ColbertStorage | None = None,
    ) -> Self:
        """
        Describe an index that is to be made.

        Raises:
            NoIndexError: If there is no `dim`: nothing is to be made.
        """
        if dim is None:
            raise NoIndexError(f"there is no index at {what}; give dim to make one")
        return cls(dim, frozenset(reps), model, colbert or ColbertStorage())

    @classmethod
    def from_json(cls, kept: object, what: str) -> Self:
        """
        Read what `to_json` wrote.

        Raises:
            NoIndexError: If it is something else, or of a later format. What says nothing of how
                ColBERT is kept keeps it whole, in float32.
        """
        match kept:
            case {"format": int(format_)} if format_ > FORMAT:
                raise NoIndexError(
                    f"{what} is of format {format_}, and this m3kit reads {FORMAT}; upgrade m3kit"
                )
            case {"dim": int(dim), "reps": list(reps), "model": str() | None as model, **more}:
                return cls(dim, frozenset(reps), model, _storage(more.get("colbert"), what))
            case _:
                raise NoIndexError(f"{what} holds no index of m3kit's")

    def to_json(self) -> Mapping[str, Any]:
        """Write it in JSON's words."""
        said = {"format": FORMAT, "dim": self.dim, "reps": self._ordered(), "model": self.model}
        return said if self._whole else {**said, "colbert": self.colbert.to_json()}

    def __str__(self) -> str:
        said = f"dim={self.dim}, reps={tuple(self._ordered())}, model={self.model!r}"
        return said if self._whole else f"{said}, colbert={self.colbert}"

    def check(
        self,
        dim: int | None,
        model: str | None,
        what: str,
        *,
        colbert: ColbertStorage | None = None,
    ) -> None:
        """
        Compare with who wants to use it; None is not compared.

        Raises:
            ModelMismatchError: If it was made by another model, with another width, or keeps its
                ColBERT vectors in another form.
        """
        check_model(self.model, model, what)
        if dim is not None and dim != self.dim:
            raise ModelMismatchError(
                f"the vectors of {what} are {self.dim} wide, and {dim} is asked for; use the "
                "model that made it, or index the documents anew at another address"
            )
        if colbert is not None and colbert != self.colbert:
            raise ModelMismatchError(
                f"the ColBERT vectors of {what} are kept as {self.colbert}, and {colbert} is asked "
                "for; leave that to the index, or index the documents anew at another address"
            )

    @property
    def _whole(self) -> bool:
        return self.colbert == ColbertStorage()

    def _ordered(self) -> list[Rep]:
        return [rep for rep in REPS if rep in self.reps]


def check_shape(dim: int, reps: frozenset[Rep]) -> None:
    """
    Check what an index is to hold.

    Raises:
        ValueError: If the width is below 1.
        RepError: If there is no representation, or an unknown one.
    """
    if dim < 1:
        raise ValueError(f"the width of vectors is at least 1, not {dim}")
    if not reps or not reps <= set(REPS):
        raise RepError(f"an index holds some of {', '.join(REPS)}, not {', '.join(reps) or 'none'}")


def _storage(kept: object, what: str) -> ColbertStorage:
    try:
        return ColbertStorage() if kept is None else ColbertStorage.from_json(kept)
    except ValueError as error:
        raise NoIndexError(f"{what} cannot be read: {error}; upgrade m3kit") from error
