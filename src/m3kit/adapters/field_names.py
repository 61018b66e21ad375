"""Field names of a collection."""

from __future__ import annotations

from dataclasses import astuple, dataclass

from m3kit.vectors import REPS, Rep


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldNames:
    """
    Field names of a collection that m3kit did not create, so that it opens without reindexing.

    Args:
        id: The field that holds the document's id; None where the engine's own key is the id.
        text: The field that holds the text.
        metadata: The field that nests the metadata; None where every other field is metadata.
        dense: The dense vectors. Qdrant's unnamed vector is `""`.
        sparse: The lexical weights.
        colbert: The ColBERT vectors.

    Raises:
        ValueError: If no field of vectors is named, or two have one name.
    """

    id: str | None = None
    text: str = "text"
    metadata: str | None = None
    dense: str | None = None
    sparse: str | None = None
    colbert: str | None = None

    def __post_init__(self) -> None:
        names = self.names()
        if len(set(names)) < len(names):
            raise ValueError(f"two fields have one name: {', '.join(map(repr, names))}")
        if not self.reps:
            raise ValueError(f"name the field of at least one of {', '.join(REPS)}")

    @property
    def reps(self) -> frozenset[Rep]:
        """The representations that have a field."""
        return frozenset(rep for rep in REPS if self.vector(rep) is not None)

    def names(self) -> list[str]:
        """Return the names of all fields that there are."""
        return [name for name in astuple(self) if name is not None]

    def vector(self, rep: Rep) -> str | None:
        """Return the field of a representation's vectors."""
        return {"dense": self.dense, "sparse": self.sparse, "colbert": self.colbert}[rep]
