"""The options of `m3kit finetune` and `m3kit finetune-reranker`, and what their help says."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

HELP = """
\b
DATA is JSONL files, and folders of them; each file is a task of its own:
  {"query": "…", "pos": ["…"], "neg": ["…"], "pos_scores": [9.1], "neg_scores": [2.0],
   "prompt": "…", "type": "…"}
Only query and pos are required. Every line is checked before the first step.

\b
On several devices, and with bf16 and 3,000 tokens at a time in memory:
  torchrun --nproc_per_node 4 -m m3kit.cli finetune DATA --to FOLDER \\
    --cross-device-negatives --chunk-tokens 3000 --set bf16=true
--set takes every setting of transformers.TrainingArguments: bf16, fp16, save_steps,
logging_steps, gradient_accumulation_steps, report_to, weight_decay, …
"""


class TeacherName(StrEnum):
    """How the scores in the data are learnt."""

    kl = "kl"
    listwise = "listwise"


class RerankLossName(StrEnum):
    """The loss of a reranker."""

    listwise = "listwise"
    pairwise = "pairwise"


Data: TypeAlias = Annotated[
    list[Path], typer.Argument(metavar="DATA", show_default=False, help="JSONL files or folders.")
]
Folder: TypeAlias = Annotated[
    Path,
    typer.Option(
        "--to", metavar="FOLDER", show_default=False, help="Where the model is written; new."
    ),
]
Resume: TypeAlias = Annotated[
    bool, typer.Option("--resume", help="Go on from the last checkpoint in FOLDER.")
]
Heads: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="LIST",
        show_default=False,
        help="Some of dense,sparse,colbert; by default all that the model has. Without dense the "
        "encoder is frozen.",
    ),
]
FreezeEncoder: TypeAlias = Annotated[
    bool | None,
    typer.Option(
        "--freeze-encoder/--train-encoder",
        show_default=False,
        help="Train the heads alone, or all.",
    ),
]
LoraRank: TypeAlias = Annotated[
    int | None,
    typer.Option("--lora", metavar="RANK", min=1, show_default=False, help="Train by LoRA."),
]
LoraAlpha: TypeAlias = Annotated[int, typer.Option(help="LoRA's scale is this over RANK.")]
LoraModules: TypeAlias = Annotated[str, typer.Option(metavar="LIST", help="What LoRA stands by.")]
Dropout: TypeAlias = Annotated[
    float | None,
    typer.Option(min=0, max=1, show_default=False, help="By default that of the checkpoint."),
]
ClsEvery: TypeAlias = Annotated[
    int | None,
    typer.Option(
        metavar="TOKENS", min=1, show_default=False, help="MCLS: a CLS before so many tokens."
    ),
]
Temperature: TypeAlias = Annotated[float, typer.Option(help="What scores are divided by.")]
DenseWeight: TypeAlias = Annotated[float, typer.Option(help="Of the dense loss.")]
SparseWeight: TypeAlias = Annotated[float, typer.Option(help="Of the sparse loss.")]
ColbertWeight: TypeAlias = Annotated[float, typer.Option(help="Of the ColBERT loss.")]
EnsembleWeight: TypeAlias = Annotated[float, typer.Option(help="Of the ensemble's loss.")]
EnsembleDense: TypeAlias = Annotated[float, typer.Option(help="Of dense in the ensemble.")]
EnsembleSparse: TypeAlias = Annotated[float, typer.Option(help="Of sparse in the ensemble.")]
EnsembleColbert: TypeAlias = Annotated[float, typer.Option(help="Of ColBERT in the ensemble.")]
SelfDistill: TypeAlias = Annotated[bool, typer.Option(help="The ensemble teaches each head.")]
SelfDistillStart: TypeAlias = Annotated[
    int, typer.Option(metavar="STEP", min=0, help="From this optimizer step on.")
]
SelfDistillWeight: TypeAlias = Annotated[float, typer.Option(help="Beside the losses above.")]
Teacher: TypeAlias = Annotated[
    TeacherName | None,
    typer.Option(show_default=False, help="Learn pos_scores and neg_scores."),
]
InBatch: TypeAlias = Annotated[
    bool, typer.Option(help="Whether other queries' passages are negatives.")
]
CrossDevice: TypeAlias = Annotated[
    bool, typer.Option("--cross-device-negatives", help="And those on other devices.")
]
BatchSize: TypeAlias = Annotated[int, typer.Option(min=1, help="Queries of a batch at most.")]
BatchTokens: TypeAlias = Annotated[int, typer.Option(min=1, help="Tokens of a batch at most.")]
MixTasks: TypeAlias = Annotated[
    bool, typer.Option("--mix-tasks", help="Batches of several files and types.")
]
MixLengths: TypeAlias = Annotated[
    bool, typer.Option("--mix-lengths", help="Batches of short and long texts.")
]
ChunkTokens: TypeAlias = Annotated[
    int | None,
    typer.Option(
        min=1, show_default=False, help="Tokens computed at once; the gradients are the same."
    ),
]
GroupSize: TypeAlias = Annotated[
    int, typer.Option(min=1, help="Passages of a query, the positive included.")
]
QueryLength: TypeAlias = Annotated[int, typer.Option("--query-max-length", min=3)]
PassageLength: TypeAlias = Annotated[int, typer.Option("--passage-max-length", min=3)]
PairLength: TypeAlias = Annotated[
    int, typer.Option("--max-length", min=6, help="Tokens of query and passage together.")
]
QueryInstruction: TypeAlias = Annotated[
    str | None,
    typer.Option(metavar="TEXT", show_default=False, help="By default that of the model."),
]
PassageInstruction: TypeAlias = Annotated[
    str | None,
    typer.Option(metavar="TEXT", show_default=False, help="By default that of the model."),
]
QueryFormat: TypeAlias = Annotated[str, typer.Option(help="Instruction and query.")]
PassageFormat: TypeAlias = Annotated[str, typer.Option(help="Instruction and passage.")]
LearningRate: TypeAlias = Annotated[float, typer.Option(help="The largest.")]
Epochs: TypeAlias = Annotated[float, typer.Option(help="Passes over the data.")]
MaxSteps: TypeAlias = Annotated[
    int, typer.Option("--steps", help="Optimizer steps in place of --epochs; -1 for none.")
]
Warmup: TypeAlias = Annotated[
    float, typer.Option(min=0, max=1, help="Share of the steps in which the rate rises.")
]
Seed: TypeAlias = Annotated[int, typer.Option(min=0, help="Of everything that is drawn.")]
Settings: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", show_default=False, help="A setting of transformers."
    ),
]
RerankLoss: TypeAlias = Annotated[RerankLossName, typer.Option(help="Of the scores of a group.")]
LearnScores: TypeAlias = Annotated[
    bool, typer.Option("--teacher", help="Learn pos_scores and neg_scores besides.")
]


def read_settings(entries: list[str] | None) -> dict[str, Any]:
    """Parse `KEY=VALUE`; a value is JSON where it can be, else a string."""
    settings = {}
    for entry in entries or []:
        key, equals, value = entry.partition("=")
        if not equals:
            raise typer.BadParameter(f"{entry!r}: write KEY=VALUE", param_hint="--set")
        try:
            settings[key.strip()] = json.loads(value)
        except ValueError:
            settings[key.strip()] = value
    return settings


def listed(value: str) -> tuple[str, ...]:
    """Parse `query,value`."""
    return tuple(name.strip() for name in value.split(","))
