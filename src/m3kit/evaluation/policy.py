"""What is done about bad input, and what was found of it."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, get_args, get_type_hints

from m3kit.evaluation.dataset import DatasetError, EvaluationError

_log = logging.getLogger("m3kit")
_NAMED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """
    What to do about bad input; whatever is not an error is warned of and counted in the report.

    Args:
        unknown_documents: Judgements of documents that the corpus does not have. `"keep"` counts
            them as relevant and never found, as trec_eval does; `"drop"` removes them.
        unknown_queries: Judgements of queries that there are not: `"drop"` or `"error"`.
        unanswered: Queries for which nothing is relevant. `"drop"` leaves them out; `"zero"` counts
            them as failed, which they are for every run.
        duplicates: Documents with the id of another: the `"first"` or the `"last"` is taken.
        empty_run: A mode that finds nothing for any query: `"error"`, or a row of `"zero"`.
        other_model: An index made by another model: `"error"`, or `"warn"` and search it all the
            same, where the other is known to make the same vectors.

    Raises:
        EvaluationError: If a field is none of these.
    """

    unknown_documents: Literal["keep", "drop", "error"] = "keep"
    unknown_queries: Literal["drop", "error"] = "drop"
    unanswered: Literal["drop", "zero", "error"] = "drop"
    duplicates: Literal["first", "last", "error"] = "error"
    empty_run: Literal["error", "zero"] = "error"
    other_model: Literal["error", "warn"] = "error"

    def __post_init__(self) -> None:
        for kind, choices in Policy.choices().items():
            if getattr(self, kind) not in choices:
                raise EvaluationError(
                    f"{kind} is one of {', '.join(choices)}, not {getattr(self, kind)!r}"
                )

    @staticmethod
    def choices() -> dict[str, tuple[str, ...]]:
        """Return what may be decided about each kind of bad input."""
        return {kind: get_args(hint) for kind, hint in get_type_hints(Policy).items()}


@dataclass(frozen=True, slots=True)
class Issue:
    """
    One kind of bad input.

    Args:
        kind: The field of `Policy` that decides about it.
        count: How often it occurs.
        examples: The first few ids.
        decision: What was done.
    """

    kind: str
    count: int
    examples: tuple[str, ...]
    decision: str

    def __str__(self) -> str:
        more = ", …" if self.count > len(self.examples) else ""
        what = _KINDS[self.kind]
        return f"{self.count} {what}: {', '.join(self.examples)}{more} ({self.decision})"


_KINDS = {
    "unknown_documents": "judged documents that the corpus does not have",
    "unknown_queries": "judged queries that there are not",
    "unanswered": "queries for which nothing is relevant",
    "duplicates": "documents with the id of another",
    "empty_run": "runs that found nothing",
    "other_model": "indexes made by another model",
}


@dataclass(slots=True)
class Issues:
    """The bad input of one evaluation, and what the policy says about it."""

    policy: Policy
    entries: list[Issue] = field(default_factory=list)

    def add(self, kind: str, names: Iterable[str], *, count: int | None = None) -> str:
        """
        Count bad input, if there is any, and decide.

        Returns:
            What the policy decides.

        Raises:
            DatasetError: If that is an error.
        """
        decision = str(getattr(self.policy, kind))
        examples = list(names)
        if not examples:
            return decision
        issue = Issue(
            kind, len(examples) if count is None else count, tuple(examples[:_NAMED]), decision
        )
        if decision == "error":
            raise DatasetError(f"{issue}; mend the input, or set the policy {kind}")
        self.entries.append(issue)
        _log.warning("%s", issue)
        return decision
