"""What a playground is set up with."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from m3kit.fusion import WeightedSum
from m3kit.vectors import Rep


@dataclass(frozen=True, slots=True, kw_only=True)
class Playground:
    """
    The options of a playground.

    Args:
        address: What the page calls the index.
        judgements: The folder to which judgements are saved, created with the first of them; None
            takes none. See `m3kit.qrels.JudgementFolder`.
        weights: Where the sliders stand at first.
        candidates: How many candidates the dense and the sparse branch bring each.
        reps: What takes part; by default all that the index holds, and ColBERT made from the texts
            where the encoder makes it and the index holds none.
    """

    address: str = "index"
    judgements: Path | None = None
    weights: WeightedSum = WeightedSum()  # noqa: RUF009  # frozen, so one default serves all
    candidates: int = 100
    reps: Collection[Rep] | None = None
