"""A bar for each that was measured, as a PNG file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def bars(path: Path, values: Mapping[str, float], what: str) -> None:
    """Draw one bar each, the first on top; needs matplotlib (`make reference`)."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 0.5 + 0.4 * len(values)), layout="constrained")
    axes = figure.subplots()
    drawn = axes.barh(list(values), list(values.values()))
    axes.bar_label(drawn, fmt="%.4g", padding=3)
    axes.invert_yaxis()
    axes.set_xlabel(what)
    axes.margins(x=0.12)
    figure.savefig(path, dpi=150)
