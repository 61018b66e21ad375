"""The options that commands share, and the parsing of their values."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from m3kit.cli.exit_codes import InputError
from m3kit.cli.where import WhereError, where
from m3kit.filter_json import field_from_json
from m3kit.filters import Field, Filter
from m3kit.fusion import RRF, Fusion, WeightedSum
from m3kit.vectors import REPS, Rep


class FusionName(StrEnum):
    """How several representations become one ranking."""

    rrf = "rrf"
    weighted = "weighted"


Query: TypeAlias = Annotated[
    str, typer.Argument(metavar="QUERY", show_default=False, help="The text to search for.")
]
Model: TypeAlias = Annotated[
    str,
    typer.Option(
        "--model",
        envvar="M3KIT_MODEL",
        metavar="MODEL",
        help="tiny, a folder, a name on the Hugging Face hub, or the URL of a server.",
    ),
]
SearchModel: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--model",
        envvar="M3KIT_MODEL",
        metavar="MODEL",
        show_default=False,
        help="tiny, a folder, a name on the hub, or the URL of a server; by default the model of "
        "the index.",
    ),
]
Device: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--device",
        envvar="M3KIT_DEVICE",
        metavar="DEVICE",
        show_default=False,
        help="cpu, cuda, cuda:1, mps; by default the fastest available.",
    ),
]
Reps: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--reps",
        metavar="LIST",
        show_default=False,
        help=f"Some of {','.join(REPS)}; by default all.",
    ),
]
Batch: TypeAlias = Annotated[
    int,
    typer.Option(
        "--batch", min=1, max=1_000_000, help="How many documents to encode and write at once."
    ),
]
From: TypeAlias = Annotated[
    str, typer.Option("--in", metavar="DIR|URL", show_default=False, help="The index.")
]
Hits: TypeAlias = Annotated[int, typer.Option("-k", min=1, max=1_000_000, help="How many hits.")]
FuseBy: TypeAlias = Annotated[
    FusionName,
    typer.Option(
        help="rrf: by ranks, with the best rescored by ColBERT; "
        "weighted: by scores, with M3's weights 1 : 0.3 : 1."
    ),
]
Weights: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--weights",
        metavar="FILE",
        show_default=False,
        help="Weights of the sum, as the playground saves them: JSON.",
    ),
]
Candidates: TypeAlias = Annotated[
    int,
    typer.Option(
        min=1,
        max=1_000_000,
        help="How many candidates dense and sparse search bring each, and how many are rescored.",
    ),
]
MaybeFrom: TypeAlias = Annotated[
    str | None,
    typer.Option("--in", metavar="DIR|URL", show_default=False, help="An index to inspect."),
]
Where: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--where",
        metavar="CONDITION",
        show_default=False,
        help="A condition on the metadata, see below; may be repeated.",
    ),
]
LedgerFile: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--ledger",
        metavar="FILE",
        show_default=False,
        help="The ledger of an index on a server; that of an index in files lies beside it.",
    ),
]
GroupBy: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="FIELD",
        show_default=False,
        help="A metadata field: of documents with the same value only the best are shown, and -k "
        'counts values. A path to a nested field is JSON: \'["loc", "page"]\'.',
    ),
]
GroupSize: TypeAlias = Annotated[
    int, typer.Option(min=1, max=1_000_000, help="How many hits of each value.")
]
Host: TypeAlias = Annotated[
    str, typer.Option(metavar="ADDRESS", help="0.0.0.0 for other machines.")
]
Port: TypeAlias = Annotated[int, typer.Option(min=0, max=65535, help="0 for any that is free.")]
HostName: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME",
        show_default=False,
        help="A name that clients call the server by, behind a proxy; may come several times.",
    ),
]
ApiKey: TypeAlias = Annotated[
    str | None,
    typer.Option(
        envvar="M3KIT_API_KEY",
        metavar="KEY",
        show_default=False,
        help="What clients show; other users see it on this command line, not in the variable.",
    ),
]
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON, see below.")]


def read_reps(value: str | None) -> list[Rep] | None:
    """Parse `dense,sparse`."""
    if value is None:
        return None
    names = [name.strip() for name in value.split(",")]
    unknown = [name for name in names if name not in REPS]
    if unknown:
        raise typer.BadParameter(
            f"{', '.join(map(repr, unknown))}: write some of {','.join(REPS)}", param_hint="--reps"
        )
    return [rep for rep in REPS if rep in names]


def read_group_by(value: str | None) -> Field | None:
    """Parse the value of `--group-by`: a name, or a list of names in JSON."""
    if value is None:
        return None
    try:
        return field_from_json(json.loads(value) if value.startswith("[") else value, place=value)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--group-by") from error


def read_weights(path: Path | None) -> WeightedSum:
    """Read the file of `--weights`; without one the weights are M3's."""
    if path is None:
        return WeightedSum()
    try:
        return WeightedSum.load(path)
    except ValueError as error:
        raise InputError(str(error)) from error


def read_fusion(name: FusionName, weights: Path | None) -> Fusion:
    """Return the fusion of `--fusion` and `--weights`."""
    if name is FusionName.weighted:
        return read_weights(weights)
    if weights is not None:
        raise typer.BadParameter(
            "the weights are those of a weighted sum; leave --fusion out", param_hint="--weights"
        )
    return RRF()


def read_where(conditions: list[str]) -> Filter | None:
    """Parse the values of `--where`."""
    try:
        return where(conditions)
    except WhereError as error:
        raise typer.BadParameter(str(error), param_hint="--where") from error
