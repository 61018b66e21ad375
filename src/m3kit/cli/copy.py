"""`m3kit copy`."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Annotated

import typer

from m3kit.cli import options as o
from m3kit.cli.opening import load_encoder, open_existing, open_for_writing, opened
from m3kit.cli.progress import progress_bar
from m3kit.copying import copy_index, open_target, reencode_index, switch_alias


def copy(
    *,
    from_: Annotated[
        str, typer.Option("--from", metavar="DIR|URL", show_default=False, help="The index.")
    ],
    to: Annotated[
        str,
        typer.Option(metavar="DIR|URL", show_default=False, help="The copy, created if missing."),
    ],
    reps: o.Reps = None,
    where: o.Where = None,
    verify: Annotated[
        int, typer.Option(min=0, help="How many documents are compared afterwards.")
    ] = 100,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="MODEL",
            show_default=False,
            help="Encode the texts anew by this model.",
        ),
    ] = None,
    device: o.Device = None,
    batch: o.Batch = 128,
    alias: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", show_default=False, help="Then have this alias stand for the copy."
        ),
    ] = None,
) -> None:
    """Copy an index to another store with its vectors, or encoded anew."""
    chosen, conditions = o.read_reps(reps), o.read_where(where or [])
    progress = progress_bar("copying", [])
    with ExitStack() as stack:
        source = stack.enter_context(open_existing(from_))
        stack.enter_context(progress.display)
        if model is None:
            target = stack.enter_context(opened(lambda: open_target(source, to, reps=chosen)))
            copied = copy_index(
                source,
                target,
                where=conditions,
                reps=chosen,
                verify=verify,
                on_batch=progress.on_batch,
            )
        else:
            encoder = load_encoder(model, device)
            target = stack.enter_context(open_for_writing(encoder, to, chosen))
            copied = reencode_index(
                source,
                target,
                encoder,
                where=conditions,
                batch_size=batch,
                verify=verify,
                on_batch=progress.on_batch,
            )
        if alias is not None:
            switch_alias(target, alias)
    typer.echo(f"{to}: {copied}")
