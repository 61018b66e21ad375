"""What each part of stage 2 brings: the same training without it, by three seeds."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean, stdev
from tempfile import TemporaryDirectory

from training.tiny.build import Build
from training.tiny.release import write_release
from training.tiny.tasks import measure_help
from training.tiny.unified import Variant

from m3kit.torch import TorchEncoder

SEEDS = (2, 3, 4)
VARIANTS = {
    "all": Variant(),
    "without self-distillation": Variant(self_distill=False),
    "without the ensemble's loss": Variant(ensemble=False),
    "without hard negatives": Variant(neighbours=False),
}
"""All runs begin with one stage 1; by its seed each draws its own batches in stage 2."""


def ablation(build: Build) -> str:
    """Train every variant by every seed; return means and standard deviations as a table."""
    lines = ["| | English, weighted | nine languages → English, weighted |", "|---|---:|---:|"]
    for name, variant in VARIANTS.items():
        runs = [_measured(build, variant, seed) for seed in SEEDS]
        cells = (_spread([run[task]["all"] for run in runs]) for task in runs[0])
        lines.append(f"| {name} | {' | '.join(cells)} |")
        build.report(lines[-1])
    return "\n".join(lines)


def _measured(build: Build, variant: Variant, seed: int) -> dict[str, dict[str, float]]:
    with TemporaryDirectory() as name:
        folder = Path(name)
        write_release(build.unified(variant, seed), build.initial(), folder, build.options)
        encoder = TorchEncoder.from_pretrained(folder, device="cpu", document_max_length=512)
        measured = measure_help(encoder, build.entries)
    return {task: measured[task] for task in ("English", "nine languages to English")}


def _spread(values: list[float]) -> str:
    return f"{fmean(values):.3f} ± {stdev(values):.3f}".replace("0.", ".")
