"""The options that several commands share, and how their values are read."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, TypeAlias

import typer

from m3kit.cli.reading import Split
from m3kit.cli.sources import Format
from m3kit.cli.where import WhereError, where
from m3kit.filters import Filter
from m3kit.vectors import REPS, Rep


class FusionName(StrEnum):
    """How several representations become one ranking."""

    rrf = "rrf"
    weighted = "weighted"


Query: TypeAlias = Annotated[
    str, typer.Argument(metavar="QUERY", show_default=False, help="What is looked for.")
]
Files: TypeAlias = Annotated[
    list[str],
    typer.Argument(
        metavar="FILE",
        show_default=False,
        help="JSONL, CSV, TXT and Markdown files, folders of them, or - for stdin.",
    ),
]
FileFormat: TypeAlias = Annotated[
    Format | None,
    typer.Option(
        "--format", help="What every FILE holds; by default the suffix says it, and stdin is JSONL."
    ),
]
TextField: TypeAlias = Annotated[
    str, typer.Option(metavar="NAME", help="Where JSONL and CSV keep the text.")
]
IdField: TypeAlias = Annotated[
    str, typer.Option(metavar="NAME", help="Where they keep the id; without one, file:line is it.")
]
SplitBy: TypeAlias = Annotated[Split, typer.Option("--split", help="What of a TXT is a document.")]
Model: TypeAlias = Annotated[
    str,
    typer.Option(
        "--model",
        envvar="M3KIT_MODEL",
        metavar="MODEL",
        help="tiny, a folder, or a name on the Hugging Face hub.",
    ),
]
SearchModel: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--model",
        envvar="M3KIT_MODEL",
        metavar="MODEL",
        show_default=False,
        help="tiny, a folder, or a name on the hub; by default what made the index.",
    ),
]
Device: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--device",
        envvar="M3KIT_DEVICE",
        metavar="DEVICE",
        show_default=False,
        help="cpu, cuda, cuda:1, mps; by default the best there is.",
    ),
]
Reps: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--reps",
        metavar="LIST",
        show_default=False,
        help=f"Of {','.join(REPS)}, by default all there are.",
    ),
]
Batch: TypeAlias = Annotated[
    int,
    typer.Option(
        "--batch", min=1, max=1_000_000, help="Documents that are encoded and written at once."
    ),
]
From: TypeAlias = Annotated[
    str, typer.Option("--in", metavar="DIR|URL", show_default=False, help="The index.")
]
Hits: TypeAlias = Annotated[int, typer.Option("-k", min=1, max=1_000_000, help="How many hits.")]
FuseBy: TypeAlias = Annotated[
    FusionName,
    typer.Option(
        help="rrf: by the ranks, the best rescored by ColBERT; "
        "weighted: by the scores, in M3's own 1 : 0.3 : 1."
    ),
]
MaybeFrom: TypeAlias = Annotated[
    str | None,
    typer.Option("--in", metavar="DIR|URL", show_default=False, help="An index to look into."),
]
Where: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--where",
        metavar="CONDITION",
        show_default=False,
        help="What a hit must be, as said below; may come several times.",
    ),
]
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON, as said below.")]


def read_reps(written: str | None) -> list[Rep] | None:
    """Read `dense,sparse`."""
    if written is None:
        return None
    names = [name.strip() for name in written.split(",")]
    unknown = [name for name in names if name not in REPS]
    if unknown:
        raise typer.BadParameter(
            f"{', '.join(map(repr, unknown))}: write some of {','.join(REPS)}", param_hint="--reps"
        )
    return [rep for rep in REPS if rep in names]


def read_where(conditions: list[str]) -> Filter | None:
    """Read all `--where`."""
    try:
        return where(conditions)
    except WhereError as error:
        raise typer.BadParameter(str(error), param_hint="--where") from error
