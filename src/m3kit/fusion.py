"""The two ways in which several representations become one ranking."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike, fspath
from pathlib import Path
from typing import Literal, TypeAlias

from m3kit.vectors import REPS, Rep

Ranking: TypeAlias = Sequence[tuple[str, float]]
"""
Documents with their scores, best first.

They go by their ids, or by an engine's own names for them; see `m3kit.adapters.ranking`.
"""


@dataclass(frozen=True, slots=True)
class RRF:
    """
    Reciprocal rank fusion of the dense and the sparse ranking: Σ weight / (k + rank), rank from 1.

    Where the query carries ColBERT too, the best of that list are rescored, and MaxSim is then the
    score and the order.

    Source: Cormack, Clarke and Büttcher, SIGIR 2009, with their k.

    Args:
        k: At least 1; the higher, the less the first ranks count.
        weights: `{"dense": 1, "sparse": 0.3}`; what is not named counts 1. ColBERT is not a ranking
            of its own here, and has no weight.

    Raises:
        ValueError: If `k` is below 1, or a weight is negative, not finite, or not of a branch.
    """

    k: int = 60
    weights: Mapping[Rep, float] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if not (math.isfinite(self.k) and self.k >= 1):
            raise ValueError(f"the k of RRF is at least 1, not {self.k}")
        for rep, weight in self.weights.items():
            if rep not in {"dense", "sparse"}:
                raise ValueError(f"RRF weighs dense and sparse, not {rep!r}")
            _check_weight(rep, weight)
        object.__setattr__(self, "weights", dict(self.weights))

    def weight(self, rep: Rep) -> float:
        """Return the weight of a representation's ranking."""
        return float(self.weights.get(rep, 1.0))

    def fuse(self, rankings: Mapping[Rep, Ranking]) -> Mapping[str, float]:
        """Score what stands in any of the rankings, in no order."""
        fused: dict[str, float] = {}
        for rep, ranking in rankings.items():
            weight = self.weight(rep)
            for place, (name, _) in enumerate(ranking, start=1):
                fused[name] = fused.get(name, 0.0) + weight / (self.k + place)
        return fused


@dataclass(frozen=True, slots=True)
class WeightedSum:
    """
    M3's own ranking: Σ weight · score / Σ weight, over the representations the query carries.

    The candidates are those of the dense and of the sparse branch together, and each of them is
    scored on every representation, whichever branch found it.

    Source: BGE-M3 paper, section 3.1, with its weights for MIRACL.
    """

    dense: float = 1.0
    sparse: float = 0.3
    colbert: float = 1.0

    def __post_init__(self) -> None:
        for rep in REPS:
            _check_weight(rep, self.weight(rep))

    def weight(self, rep: Rep) -> float:
        """Return the weight of one representation."""
        return float(getattr(self, rep))

    def score(self, scores: Mapping[Rep, float]) -> float:
        """Combine the scores of one document on the representations that take part."""
        return self.fuse({rep: {"": score} for rep, score in scores.items()})[""]

    def fuse(self, scores: Mapping[Rep, Mapping[str, float]]) -> Mapping[str, float]:
        """
        Combine the scores of documents, each of which is scored on every representation.

        Raises:
            ValueError: If the representations have no weight.
        """
        total = self.total(scores)
        fused: dict[str, float] = {}
        for rep in REPS:  # always in this order, as the order decides the last bit of a sum
            weight = self.weight(rep)
            for name, score in scores.get(rep, {}).items():
                fused[name] = fused.get(name, 0.0) + weight * score
        return {name: score / total for name, score in fused.items()}

    def total(self, reps: Collection[Rep]) -> float:
        """
        Add up the weights of representations.

        Raises:
            ValueError: If they have none.
        """
        total = 0.0
        for rep in REPS:  # as any other language adds; sum() compensates from Python 3.12 on
            total += self.weight(rep) if rep in reps else 0.0
        if not total:
            raise ValueError(f"{self} gives no weight to {', '.join(reps)}")
        return total

    @classmethod
    def load(cls, path: str | PathLike[str]) -> WeightedSum:
        """
        Read weights from a JSON file: `{"dense": 1, "sparse": 0.3, "colbert": 1}`.

        What is not named has its default. The playground writes such files.

        Raises:
            ValueError: If the file holds something else, naming it.
        """
        try:
            return cls(**_weights(json.loads(Path(path).read_text(encoding="utf-8"))))
        except (ValueError, OverflowError) as error:
            raise ValueError(f"{fspath(path)} holds no weights: {error}") from error

    def save(self, path: str | PathLike[str]) -> None:
        """Write the weights as JSON, for `load` and for `--weights` of the command line."""
        weights = {rep: self.weight(rep) for rep in REPS}
        Path(path).write_text(f"{json.dumps(weights)}\n", encoding="utf-8")


Fusion: TypeAlias = RRF | WeightedSum

FusionName: TypeAlias = Literal["rrf", "weighted"]
"""What stands for a fusion with its defaults."""


def to_fusion(fusion: object) -> Fusion:
    """
    Return a fusion, or the one of a name.

    Raises:
        TypeError: If it is neither.
        ValueError: If there is none of that name.
    """
    match fusion:
        case RRF() | WeightedSum():
            return fusion
        case "rrf":
            return RRF()
        case "weighted":
            return WeightedSum()
        case str():
            raise ValueError(f"there is no fusion {fusion!r}; there are 'rrf' and 'weighted'")
        case _:
            raise TypeError(f"a fusion is RRF() or WeightedSum(), not {fusion!r:.200}")


def _weights(value: object) -> dict[Rep, float]:
    names = ", ".join(REPS)
    if not isinstance(value, dict) or not value or not set(value) <= set(REPS):
        raise ValueError(f"it is an object with some of the keys {names}, and no others")
    for rep, weight in value.items():
        if not isinstance(weight, int | float) or isinstance(weight, bool):
            raise ValueError(f"the weight of {rep} is a number, not {weight!r:.80}")  # noqa: TRY004  # of a file
    return value


def _check_weight(rep: Rep, weight: float) -> None:
    if not (math.isfinite(weight) and weight >= 0):
        raise ValueError(f"the weight of {rep} is finite and not negative, not {weight}")


def by_score(scores: Iterable[tuple[str, float]]) -> list[tuple[str, float]]:
    """Order ids by their scores: best first, ties by id."""
    return sorted(scores, key=lambda pair: (-pair[1], pair[0]))
