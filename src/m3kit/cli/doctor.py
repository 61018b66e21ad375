"""`m3kit doctor`."""

from __future__ import annotations

from typing import Annotated

import typer

from m3kit.cli import options as o
from m3kit.cli.exit_codes import Code
from m3kit.cli.opening import DEFAULT_MODEL, load_encoder


def doctor(
    model: Annotated[
        str,
        typer.Argument(metavar="URL|MODEL", show_default=False, help="What is examined."),
    ],
    *,
    reference: Annotated[
        str, typer.Option(metavar="MODEL", help="The same model, as it should be: a folder.")
    ] = DEFAULT_MODEL,
    device: o.Device = None,
) -> None:
    """Hold a server or a checkpoint against a reference, and name what is wrong."""
    from m3kit.doctor import examine

    examined, right = load_encoder(model), load_encoder(reference, device)
    findings = examine(examined, right)
    for finding in findings:
        typer.echo(f"{finding.name}: {finding.message}")
    if findings:
        raise typer.Exit(Code.FAILED)
    reps = ", ".join(sorted(examined.reps))
    typer.echo(f"nothing is wrong: {reps} are those of {right.model}")
