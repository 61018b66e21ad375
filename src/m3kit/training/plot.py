"""The losses of a run as a picture, where matplotlib is installed."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

_log = logging.getLogger("m3kit")


def write_plot(history: Sequence[dict[str, float]], folder: Path) -> Path | None:
    """Draw each loss over the steps into `losses.png`; None without matplotlib or any loss."""
    rows = [row for row in history if "loss" in row]
    if not rows:
        return None
    if find_spec("matplotlib") is None:
        _log.warning("losses.png is not drawn: pip install matplotlib")
        return None
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot(xlabel="step", ylabel="loss")
    for name in dict.fromkeys(key for row in rows for key in row if key.startswith("loss")):
        points = [(row["step"], row[name]) for row in rows if name in row]
        label = name.removeprefix("loss_").replace("_", ", ")
        axes.plot(*zip(*points, strict=True), label=label, linewidth=2 if name == "loss" else 1)
    axes.legend(fontsize="small")
    path = folder / "losses.png"
    figure.savefig(path, dpi=120)
    return path
