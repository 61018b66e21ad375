"""Writing YQL."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

EVERYTHING = "true"
NOTHING = "false"


def is_in(name: str, literals: Iterable[str]) -> str:
    """Compare with any of some literals."""
    listed = ", ".join(dict.fromkeys(literals))
    return f"{name} in ({listed})" if listed else NOTHING


def double(number: float) -> str:
    """Write a double as YQL reads it: with a point, and no sign in the exponent but minus."""
    mantissa, _, exponent = repr(float(number)).partition("e")
    point = mantissa if "." in mantissa else f"{mantissa}.0"
    return f"{point}e{int(exponent)}" if exponent else point


def all_of(parts: Sequence[str]) -> str:
    """Fold constants away: Vespa rejects a query made only of constants."""
    varying = [part for part in parts if part != EVERYTHING]
    return NOTHING if NOTHING in varying else _joined("and", varying) or EVERYTHING


def any_of(parts: Sequence[str]) -> str:
    """Fold constants away, as `all_of` does."""
    varying = [part for part in parts if part != NOTHING]
    return EVERYTHING if EVERYTHING in varying else _joined("or", varying) or NOTHING


def negate(part: str) -> str:
    """Write the negation, which for a constant is the other."""
    return {NOTHING: EVERYTHING, EVERYTHING: NOTHING}.get(part, f"!({part})")


def _joined(operator: str, parts: Sequence[str]) -> str:
    return f"({f' {operator} '.join(parts)})" if len(parts) > 1 else "".join(parts)
