"""`m3kit playground`."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

from m3kit.cli import options as o
from m3kit.cli.exit_codes import ModelError
from m3kit.cli.opening import load_encoder, model_of, open_existing


def playground(
    *,
    in_: o.From,
    model: o.SearchModel = None,
    reps: o.Reps = None,
    weights: o.Weights = None,
    candidates: o.Candidates = 100,
    judgements: Annotated[
        Path, typer.Option(metavar="DIR", help="Where judgements are saved.")
    ] = Path("judgements"),
    port: o.Port = 8765,
    device: o.Device = None,
) -> None:
    """Open a page that searches an index and shows why, on this machine."""
    try:
        from m3kit.server import Playground, serve
    except ModuleNotFoundError as error:
        raise ModelError(
            f"a playground needs {error.name}, which is not installed: pip install 'm3kit[serve]'"
        ) from error
    options = Playground(
        address=in_,
        judgements=judgements,
        weights=o.read_weights(weights),
        candidates=candidates,
        reps=o.read_reps(reps),
    )
    with open_existing(in_) as index:
        serve(
            load_encoder(model or model_of(index), device),
            index=index,
            port=port,
            playground=options,
            log_level=logging.WARNING,
            on_start=lambda url: typer.echo(f"{in_} can be seen at {url} (Ctrl C ends it)"),
        )
