"""`m3kit serve`."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated

import typer

from m3kit.cli import options as o
from m3kit.cli.exit_codes import ModelError
from m3kit.cli.opening import DEFAULT_MODEL, load_encoder, open_existing
from m3kit.index import M3Error

if TYPE_CHECKING:
    from m3kit.server.service import PairReranker


def serve(
    *,
    model: o.Model = DEFAULT_MODEL,
    in_: Annotated[
        str | None,
        typer.Option(
            "--in", metavar="DIR|URL", show_default=False, help="An index for /search and /explain."
        ),
    ] = None,
    reranker: Annotated[
        str | None,
        typer.Option(metavar="MODEL", show_default=False, help="A cross-encoder for /rerank."),
    ] = None,
    host: o.Host = "127.0.0.1",
    port: o.Port = 8080,
    host_name: o.HostName = None,
    api_key: o.ApiKey = None,
    queue_tokens: Annotated[
        int | None,
        typer.Option(min=1, show_default=False, help="Accepted and not yet answered at most."),
    ] = None,
    batch_tokens: Annotated[
        int | None, typer.Option(min=1, show_default=False, help="In one forward pass.")
    ] = None,
    deadline: Annotated[float, typer.Option(min=0.001, help="Seconds for a request.")] = 120.0,
    device: o.Device = None,
) -> None:
    """Serve a model, and an index if one is given, over HTTP."""
    try:
        from m3kit.server import Limits
        from m3kit.server import serve as run
    except ModuleNotFoundError as error:
        raise ModelError(
            f"a server needs {error.name}, which is not installed: pip install 'm3kit[serve]'"
        ) from error
    limits = Limits(
        queue_tokens=queue_tokens or Limits().queue_tokens,
        batch_tokens=batch_tokens,
        deadline=deadline,
    )
    with ExitStack() as stack:
        run(
            load_encoder(model, device),
            reranker=None if reranker is None else _reranker(reranker, device),
            index=None if in_ is None else stack.enter_context(open_existing(in_)),
            host=host,
            port=port,
            api_key=api_key or None,
            hosts=host_name or (),
            limits=limits,
        )


def _reranker(model: str, device: str | None) -> PairReranker:
    try:
        from m3kit.torch import CrossEncoder

        return CrossEncoder.from_pretrained(model, device=device)
    except ModuleNotFoundError as error:
        raise ModelError(f"a reranker needs {error.name}: pip install 'm3kit[torch]'") from error
    except M3Error as error:
        raise ModelError(str(error)) from error
