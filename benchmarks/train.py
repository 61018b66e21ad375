"""
Tokens a second while training, m3kit beside FlagEmbedding; and memory by the size of a batch.

    python -m benchmarks.train [--layers 2] [--examples 48] [--batch 8] [--length 256] [--joined 3]
                            [--json FILE]
    python -m benchmarks.train --memory [--sizes 4 8 16 32] [--chunk-tokens 1024] [--plot FILE.png]

The first needs the environment of `make reference`. Both trainers take turns
on the same examples of the sample corpus, M3's whole loss in float32, with every text once in an
epoch: the tokens are those of the texts, not of padding. `--joined 2` makes passages of one text or
several, two in the mean, so that lengths differ as those of documents do. The vocabulary is the
small tokenizer's; with M3's own FlagEmbedding's sparse head takes 1 MB more for each token. The
second prints the peak memory of one step above that of the loaded model, with and without cached
gradients.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from benchmarks.full_size import checkpoint
from benchmarks.machine import describe, to_line

from m3kit.backend.checkpoint import read_checkpoint
from m3kit.backend.tokenizer import load_tokenizer

CORPUS = Path(__file__).resolve().parents[1] / "examples" / "data" / "corpus.jsonl"
GROUP = 4
_QUERY = 40  # characters of a passage that stand for its query


def write_examples(path: Path, count: int, joined: float = 1.0) -> Path:
    """
    Write examples of the sample corpus: a passage's beginning, the rest, and others' rests.

    Args:
        path: The file.
        count: How many.
        joined: The mean number of texts that are joined to a passage. Above 1 it varies from
            passage to passage by a geometric distribution, and so the lengths of passages do.
    """
    lines = CORPUS.read_text("utf-8").splitlines()
    texts = [json.loads(line)["text"] for line in lines]
    texts = [text for text in texts if len(text) > 4 * _QUERY]
    random = np.random.default_rng(3)
    first = random.permutation(len(texts))[: count * GROUP]
    more = random.geometric(1 / joined, len(first)) - 1
    passages = [
        " ".join(texts[place] for place in [start, *random.integers(len(texts), size=number)])
        for start, number in zip(first.tolist(), more.tolist(), strict=True)
    ]
    rows = []
    for start in range(0, len(passages), GROUP):
        passage, *others = passages[start : start + GROUP]
        row = {"query": passage[:_QUERY], "pos": [passage[_QUERY:]]}
        rows.append(row | {"neg": [other[_QUERY:] for other in others]})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def tokens(data: Path, folder: Path, length: int) -> int:
    """Count the tokens of an epoch."""
    tokenizer = load_tokenizer(folder, read_checkpoint("m3", folder).config)
    rows = [json.loads(line) for line in data.read_text("utf-8").splitlines()]
    texts = [text for row in rows for text in (row["query"], *row["pos"], *row["neg"])]
    return sum(len(ids) for ids, _ in tokenizer(texts, length))


def train_m3kit(data: Path, folder: Path, to: Path, options: argparse.Namespace) -> float:
    """Return the seconds of an epoch in m3kit."""
    from m3kit.training import BatchOptions, FinetuneOptions, TextOptions, finetune

    length = {"query_max_length": options.length, "passage_max_length": options.length}
    run = FinetuneOptions(
        batches=BatchOptions(batch_size=options.batch, batch_tokens=10**9),
        texts=TextOptions(group_size=GROUP, **length),
        settings={"disable_tqdm": True, "save_strategy": "no", "use_cpu": True},
    )
    return seconds(finetune([data], to, model=folder, options=run).history)


def train_flag(data: Path, folder: Path, to: Path, options: argparse.Namespace) -> float:
    """Return the seconds of an epoch in FlagEmbedding."""
    from FlagEmbedding.abc.finetune.embedder import AbsEmbedderDataArguments
    from FlagEmbedding.finetune.embedder.encoder_only.m3 import (
        EncoderOnlyEmbedderM3ModelArguments,
        EncoderOnlyEmbedderM3Runner,
        EncoderOnlyEmbedderM3TrainingArguments,
    )

    runner = EncoderOnlyEmbedderM3Runner(
        EncoderOnlyEmbedderM3ModelArguments(model_name_or_path=str(folder)),
        AbsEmbedderDataArguments(
            train_data=[str(data)],
            train_group_size=GROUP,
            query_max_len=options.length,
            passage_max_len=options.length,
            cache_path=str(to / "cache"),
        ),
        EncoderOnlyEmbedderM3TrainingArguments(
            output_dir=str(to),
            per_device_train_batch_size=options.batch,
            num_train_epochs=1,
            learning_rate=1e-5,
            unified_finetuning=True,
            use_self_distill=True,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            use_cpu=True,
        ),
    )
    runner.trainer.train()
    return seconds(runner.trainer.state.log_history)


def seconds(history: Sequence[dict[str, Any]]) -> float:
    """Return how long transformers' trainer ran."""
    return float(next(row["train_runtime"] for row in history if "train_runtime" in row))


def speed(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Let both train in turns; the first round warms up."""
    folder = checkpoint(options.layers)
    trainers = {"m3kit": train_m3kit, "FlagEmbedding": train_flag}
    times: dict[str, list[float]] = {name: [] for name in trainers}
    with TemporaryDirectory() as space:
        data = write_examples(Path(space) / "train.jsonl", options.examples, options.joined)
        total = tokens(data, folder, options.length)
        for turn in range(options.rounds + 1):
            for name, train in trainers.items():
                took = train(data, folder, Path(space) / f"{name}-{turn}", options)
                if turn:
                    times[name].append(took)
    ratios = [flag / ours for ours, flag in zip(*times.values(), strict=True)]
    rates = {name: [round(total / took) for took in took_all] for name, took_all in times.items()}
    rows = [{"trainer": name, "tokens/s": rate, "tokens": total} for name, rate in rates.items()]
    rows[0]["times FlagEmbedding's"] = [round(ratio, 2) for ratio in ratios]
    return rows


def step_memory(folder: Path, batch: int, chunk_tokens: int | None, length: int) -> float:
    """Return the megabytes at the peak of one step, above those of the loaded model."""
    from m3kit.training.cached_gradients import backward_in_chunks
    from m3kit.training.losses import Groups, LossOptions, scores_of, unified_loss
    from m3kit.training.model import M3Model

    source = read_checkpoint("m3", folder)
    tokenizer = load_tokenizer(folder, source.config)
    model = M3Model(source, unweighted=tokenizer.unweighted)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    random = np.random.default_rng(1)
    texts = [random.integers(5, 10_000, length) for _ in range(batch * (1 + GROUP))]
    numbers = torch.arange(len(texts))
    members = torch.arange(batch * GROUP).view(batch, GROUP)
    groups = Groups(members, torch.zeros(batch, batch * GROUP, dtype=torch.bool))

    def loss(whole: Any) -> torch.Tensor:
        queries, passages = whole.select(numbers[:batch]), whole.select(numbers[batch:])
        return unified_loss(scores_of(queries, passages, 0.02), groups, LossOptions())[0]

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    backward_in_chunks(model, texts, loss, chunk_tokens=chunk_tokens)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def memory(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure each size in a process of its own."""
    folder = checkpoint(options.layers)
    rows = []
    for batch in options.sizes:
        row: dict[str, Any] = {"queries": batch, "tokens": batch * (1 + GROUP) * options.length}
        for name, chunk_tokens in (("whole", 0), ("cached", options.chunk_tokens)):
            command = [sys.executable, "-m", "benchmarks.train", "--step"]
            values = [str(folder), str(batch), str(chunk_tokens), str(options.length)]
            start = time.perf_counter()
            done = subprocess.run([*command, *values], capture_output=True, text=True, check=True)
            row[f"{name} MB"] = round(float(done.stdout.split()[-1]))
            row[f"{name} s"] = round(time.perf_counter() - start, 1)
        rows.append(row)
        print(row, flush=True)
    return rows


def plot(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw the memory against the size of a batch."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot(xlabel="tokens of a batch", ylabel="MB above the model")
    for name, label in (("whole", "at once"), ("cached", "cached gradients")):
        axes.plot([r["tokens"] for r in rows], [r[f"{name} MB"] for r in rows], "o-", label=label)
    axes.legend()
    figure.savefig(path, dpi=150)


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().splitlines()[0])
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--examples", type=int, default=48)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--joined", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--sizes", type=int, nargs="+", default=[4, 8, 16, 32])
    parser.add_argument("--chunk-tokens", type=int, default=1024)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--step", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        folder, batch, chunk_tokens, length = options.step
        print(step_memory(Path(folder), int(batch), int(chunk_tokens) or None, int(length)))
        return
    print(to_line(describe()))
    rows = memory(options) if options.memory else speed(options)
    for row in rows:
        print(", ".join(f"{key}: {value}" for key, value in row.items()))
    if options.json:
        options.json.write_text(json.dumps({"machine": describe(), "rows": rows}, indent=2))
    if options.plot and options.memory:
        plot(rows, options.plot)


if __name__ == "__main__":
    main()
