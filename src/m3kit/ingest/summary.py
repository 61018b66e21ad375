"""What a run did, as numbers."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any


@dataclass(slots=True)
class Summary:
    """
    What a run has done so far.

    Args:
        read: Documents that were read.
        unchanged: Documents that the index held already, as they are.
        encoded: Documents that were encoded and written.
        rewritten: Documents that were written with new metadata and the vectors they had.
        deleted: Documents that were deleted, since their source has them no more.
        rejected: Documents, or files, that could not be read, or that the engine cannot hold.
        recovered: Documents that the ledger took for written and the index had lost or doubled.
        retries: Calls to the index that were repeated.
        seconds: How long it took.
    """

    read: int = 0
    unchanged: int = 0
    encoded: int = 0
    rewritten: int = 0
    deleted: int = 0
    rejected: int = 0
    recovered: int = 0
    retries: int = 0
    seconds: float = 0.0

    @property
    def written(self) -> int:
        """How many documents were written."""
        return self.encoded + self.rewritten

    @property
    def rate(self) -> float:
        """Documents read in a second."""
        return self.read / self.seconds if self.seconds else 0.0

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        counts = {field.name: getattr(self, field.name) for field in fields(self)}
        return {**counts, "seconds": round(self.seconds, 3), "rate": round(self.rate, 3)}
