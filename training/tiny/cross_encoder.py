"""
A cross-encoder that begins as the tiny encoder, and whether it orders ColBERT's best 50 better.

It is trained on headings and questions in English, each with sections among which ColBERT finds
the right one. It does not ship unless it is better than ColBERT on the held-out pages.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory

from training.tiny.build import Build
from training.tiny.collection import Entry, Split, held_out
from training.tiny.options import Options
from training.tiny.questions import as_question
from training.tiny.tasks import heading_task

from m3kit.evaluation import MODES, evaluate
from m3kit.records import Document
from m3kit.torch import CrossEncoder, TorchEncoder
from m3kit.training import (
    BatchOptions,
    Example,
    MiningOptions,
    MiningQuery,
    RerankerOptions,
    TextOptions,
    finetune_reranker,
    mine,
    write_examples,
)

_REORDERED = 50
_QUERIES = 2500
_MINING = MiningOptions(mode=MODES["colbert"], first=0, last=_REORDERED, negatives=7)


def train_cross_encoder(
    model: str | Path, entries: Sequence[Entry], options: Options, folder: Path
) -> Path:
    """Train a cross-encoder on sections, and return the folder of its files."""
    encoder = TorchEncoder.from_pretrained(model, device="cpu", document_max_length=256)
    examples = mine(_queries(entries, options), encoder, lambda: _passages(entries), _MINING)
    data = folder / "examples.jsonl"
    write_examples(data, examples)
    reranker = RerankerOptions(
        learning_rate=options.rate / 2,
        epochs=2,
        max_length=options.passage_length + options.query_length,
        batches=BatchOptions(batch_size=16),
        texts=TextOptions(group_size=_MINING.negatives + 1),
        seed=options.seed,
    )
    finetune_reranker([data], folder / "model", model=model, options=reranker)
    return folder / "model"


def compare(
    model: str | Path, cross_encoder: Path, entries: Sequence[Entry], split: Split = "test"
) -> dict[str, float]:
    """Return nDCG@10 of ColBERT's order of held-out English sections, and the cross-encoder's."""
    report = evaluate(
        TorchEncoder.from_pretrained(model, device="cpu", document_max_length=512),
        heading_task(held_out(list(entries), split), ["en"], "en"),
        modes=[MODES["colbert"]],
        measures=["nDCG@10"],
        candidates=_REORDERED,
        reranker=CrossEncoder.from_pretrained(cross_encoder, device="cpu"),
    )
    return {row.name: fmean(row.values["nDCG@10"].values()) for row in report.rows}


def cross_encoder_figures(model: str | Path, build: Build) -> str:
    """Train a cross-encoder in a folder of its own, and say how it orders, beside ColBERT."""
    with TemporaryDirectory() as name:
        trained = train_cross_encoder(model, build.training, build.options, Path(name))
        values = compare(model, trained, build.entries)
    return ", ".join(f"{order}: {value:.3f}" for order, value in values.items())


def _queries(entries: Sequence[Entry], options: Options) -> Iterator[MiningQuery]:
    """Draw sections, and take the heading of each, or a question that it answers."""
    source = random.Random(options.seed)  # noqa: S311  # no secret depends on it
    for entry in source.sample(entries, min(_QUERIES, len(entries))):
        title = entry.titles["en"]
        query = as_question(title, "en", source) if source.random() < 0.5 else title
        example = Example(query=query, pos=[entry.sections["en"].text])
        yield MiningQuery(example, frozenset([entry.id]))


def _passages(entries: Sequence[Entry]) -> Iterator[Document]:
    return (Document(entry.id, entry.sections["en"].text) for entry in entries)
