"""All figures of a model: held-out pages, long documents, other documentation."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean

from training.tiny.build import Build
from training.tiny.card import Figures
from training.tiny.development import development_sets
from training.tiny.tasks import long_task, means, measure, measure_help

from m3kit.torch import TorchEncoder


def figures(model: str | Path, build: Build) -> Figures:
    """Measure a checkpoint; by test and way of searching."""
    encoder = TorchEncoder.from_pretrained(model, device="cpu", document_max_length=512)
    rows = dict(measure_help(encoder, build.entries, bm25=True))
    for length in (512, 8192):
        reader = TorchEncoder.from_pretrained(model, device="cpu", document_max_length=length)
        task = long_task(build.entries, "test")
        rows[f"pages of the handbook, {length:,} tokens"] = means(measure(reader, task))
    others = {
        name: means(measure(encoder, dataset, bm25=True))
        for name, dataset in development_sets(build.work, build.debs).items()
    }
    rows["single words"] = others.pop("words")
    columns = next(iter(others.values()))
    rows["other documentation, English"] = {
        column: fmean(row[column] for row in others.values()) for column in columns
    }
    return rows
