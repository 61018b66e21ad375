"""The ways of searching that the paper compares, and the ones beside them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from m3kit.evaluation.dataset import EvaluationError
from m3kit.fusion import RRF, Fusion, WeightedSum
from m3kit.vectors import REPS, Rep


@dataclass(frozen=True, slots=True)
class Mode:
    """
    One way of searching.

    Args:
        name: What tables call it.
        reps: The representations that the query carries.
        fusion: How several of them become one ranking.
    """

    name: str
    reps: tuple[Rep, ...]
    fusion: Fusion = WeightedSum()  # noqa: RUF009  # frozen, so one default serves all


PAPER = (
    Mode("dense", ("dense",)),
    Mode("sparse", ("sparse",)),
    Mode("colbert", ("colbert",)),
    Mode("dense+sparse", ("dense", "sparse")),
    Mode("all", REPS),
)
"""The columns of the paper's tables; ColBERT alone scans the whole corpus."""

RERANKED = Mode("colbert-rerank", ("dense", "colbert"), WeightedSum(0, 0, 1))
"""ColBERT over the best candidates of the dense ranking, as the paper computed its ColBERT rows."""

_WEIGHTED = RRF(weights={"sparse": 0.3})

MODES: Mapping[str, Mode] = {
    mode.name: mode
    for mode in (
        *PAPER,
        RERANKED,
        Mode("rrf", ("dense", "sparse"), RRF()),
        Mode("rrf-all", REPS, RRF()),
        Mode("rrf-0.3", ("dense", "sparse"), _WEIGHTED),
        Mode("rrf-0.3-all", REPS, _WEIGHTED),
    )
}
"""Every mode that has a name, with the default weights."""


def modes_for(
    modes: Sequence[Mode] | None,
    weights: Mapping[str, WeightedSum],
    available: Collection[Rep],
    *,
    added: WeightedSum | None = None,
) -> list[Mode]:
    """
    Choose the modes of an evaluation.

    Args:
        modes: As asked for, or None for those of `PAPER` that `available` allows.
        weights: What a test collection says about modes, by name; used for None alone.
        available: What the encoder makes, and the index holds.
        added: The weights of a further mode, `weights`, over all that is available.

    Raises:
        EvaluationError: If there is none, two have one name, or one needs more than is available.
    """
    if modes is None:
        modes = [
            replace(mode, fusion=weights.get(mode.name, mode.fusion))
            for mode in PAPER
            if all(rep in available for rep in mode.reps)
        ]
    if added is not None:
        if not any(added.weight(rep) for rep in available):
            raise EvaluationError(f"{added} gives no weight to {', '.join(sorted(available))}")
        modes = [*modes, Mode("weights", tuple(rep for rep in REPS if rep in available), added)]
    names = [mode.name for mode in modes]
    if not names or len(set(names)) < len(names):
        raise EvaluationError(f"give at least one mode, each with a name of its own, not {names}")
    for mode in modes:
        if missing := [rep for rep in mode.reps if rep not in available]:
            raise EvaluationError(
                f"the mode {mode.name} needs {', '.join(missing)}, which the model or the index "
                f"does not have; it has {', '.join(rep for rep in REPS if rep in available)}"
            )
    return list(modes)
