"""What an index records about itself, and what a caller wants of it."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, Self, runtime_checkable

from m3kit.adapters.storage import ColbertStorage
from m3kit.encoder import Encoder
from m3kit.index import (
    IndexNotFoundError,
    ModelMismatchError,
    RepresentationError,
    check_model,
    resolve_encoder,
)
from m3kit.vectors import REPS, Rep

FORMAT = 2
"""The form of the collections that this version makes; see `Manifest.from_json`."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """
    What an index holds and what made its vectors, stored beside its data.

    Args:
        dim: The width of the vectors.
        reps: The representations it holds.
        model: As `Encoder.model` says, where the index was told.
        colbert: How ColBERT vectors are stored, where it holds them.
        id: Tells this index from every other one, also from one that is made anew at its address;
            None where m3kit did not make the index, or an earlier version did.

    Raises:
        ValueError: If the width is below 1.
        RepresentationError: If there is no representation, or an unknown one.
    """

    dim: int
    reps: frozenset[Rep]
    model: str | None
    colbert: ColbertStorage = ColbertStorage()  # noqa: RUF009  # frozen, so one default serves all
    id: str | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        check_shape(self.dim, self.reps)

    @classmethod
    def from_json(cls, stored: object, what: str) -> Self:
        """
        Read what `to_json` wrote.

        Args:
            stored: The parsed JSON.
            what: What an error calls the index.

        Raises:
            IndexNotFoundError: If it is something else, or of another format.
        """
        match stored:
            case {"format": int(format_)} if format_ < FORMAT:
                raise IndexNotFoundError(
                    f"{what} was made by an earlier development version of m3kit; index the "
                    "documents again"
                )
            case {"format": int(format_)} if format_ > FORMAT:
                raise IndexNotFoundError(
                    f"{what} is of format {format_}, and this m3kit reads {FORMAT}; upgrade m3kit"
                )
            case {"dim": int(dim), "reps": list(reps), "model": str() | None as model, **more}:
                storage, id_ = _storage(more.get("colbert"), what), more.get("id")
                return cls(
                    dim, frozenset(reps), model, storage, id_ if isinstance(id_, str) else None
                )
            case _:
                raise IndexNotFoundError(f"{what} was not created by m3kit")

    def to_json(self) -> Mapping[str, Any]:
        """Return it as JSON; ColBERT vectors stored whole, in float32, are not mentioned."""
        manifest: dict[str, Any] = {
            "format": FORMAT,
            "dim": self.dim,
            "reps": self._ordered_reps(),
            "model": self.model,
        }
        if self.id is not None:
            manifest["id"] = self.id
        if self.colbert == ColbertStorage():
            return manifest
        return {**manifest, "colbert": self.colbert.to_json()}

    def __str__(self) -> str:
        shape = f"dim={self.dim}, reps={tuple(self._ordered_reps())}, model={self.model!r}"
        return shape if self.colbert == ColbertStorage() else f"{shape}, colbert={self.colbert}"

    def _ordered_reps(self) -> list[Rep]:
        return [rep for rep in REPS if rep in self.reps]


@dataclass(frozen=True, slots=True)
class IndexRequest:
    """
    What a caller wants of an index that is opened or created.

    Args:
        dim: The width of the vectors. None opens only what exists.
        reps: What a new index holds; an existing one knows it.
        model: What makes the vectors. A new index records it, an existing one is checked against
            it.
        colbert: How a new index stores ColBERT vectors, whole by default; an existing one is
            checked against it.
    """

    dim: int | None
    reps: frozenset[Rep]
    model: str | None
    colbert: ColbertStorage | None = None

    @classmethod
    def of(
        cls,
        encoder: Encoder | None,
        *,
        dim: int | None,
        reps: Collection[Rep] | None,
        model: str | None,
        colbert: ColbertStorage | None = None,
        default_reps: Collection[Rep] = REPS,
    ) -> Self:
        """
        Take `dim`, `model` and, where none are given, `reps` from an encoder.

        Args:
            encoder: As in `m3kit.open_index`.
            dim: Only without an encoder.
            reps: By default those of `default_reps` that the encoder can make.
            model: Only without an encoder.
            colbert: See the class.
            default_reps: What an index of this kind holds unless told otherwise.

        Raises:
            ValueError: If `dim` or `model` is given besides an encoder.
            RepresentationError: If the encoder cannot make one of `reps`.
        """
        dim, chosen, model = resolve_encoder(
            encoder, dim=dim, reps=reps, model=model, default_reps=default_reps
        )
        return cls(dim, frozenset(chosen), model, colbert)

    def new_manifest(self, what: str) -> Manifest:
        """
        Describe the index that is to be created.

        Raises:
            IndexNotFoundError: If there is no `dim`: nothing is to be created.
        """
        if self.dim is None:
            raise IndexNotFoundError(
                f"there is no index at {what}; give encoder= (or dim=) to create one"
            )
        storage = self.colbert or ColbertStorage()
        return Manifest(self.dim, self.reps, self.model, storage, os.urandom(16).hex())

    def check(self, manifest: Manifest, what: str) -> None:
        """
        Compare with an index that exists; what is None is not compared.

        Raises:
            ModelMismatchError: If it was made by another model, with another width, or stores its
                ColBERT vectors in another form.
        """
        check_model(manifest.model, self.model, what)
        if self.dim is not None and self.dim != manifest.dim:
            raise ModelMismatchError(
                f"the vectors of {what} are {manifest.dim} wide, and {self.dim} is asked for; use "
                "the model that made it, or index the documents again at another address"
            )
        if self.colbert is not None and self.colbert != manifest.colbert:
            raise ModelMismatchError(
                f"the ColBERT vectors of {what} are stored as {manifest.colbert}, and "
                f"{self.colbert} is asked for; leave colbert= out, or index the documents again at "
                "another address"
            )


def check_shape(dim: int, reps: frozenset[Rep]) -> None:
    """
    Check what an index is to hold.

    Raises:
        ValueError: If the width is below 1.
        RepresentationError: If there is no representation, or an unknown one.
    """
    if dim < 1:
        raise ValueError(f"the width of vectors is at least 1, not {dim}")
    if not reps or not reps <= set(REPS):
        raise RepresentationError(
            f"an index holds some of {', '.join(REPS)}, not {', '.join(reps) or 'none'}"
        )


def _storage(stored: object, what: str) -> ColbertStorage:
    try:
        return ColbertStorage() if stored is None else ColbertStorage.from_json(stored)
    except ValueError as error:
        raise IndexNotFoundError(f"{what} cannot be read: {error}; upgrade m3kit") from error


@runtime_checkable
class _HasManifest(Protocol):
    @property
    def manifest(self) -> Manifest | None: ...


def manifest_of(index: object) -> Manifest | None:
    """Return what an index records about itself; None if it records nothing."""
    return index.manifest if isinstance(index, _HasManifest) else None
