"""`m3kit mcp`."""

from __future__ import annotations

from typing import Annotated

import typer

from m3kit.cli import options as o
from m3kit.cli.exit_codes import ModelError
from m3kit.cli.opening import load_encoder, model_of, open_existing


def mcp(
    *,
    in_: o.From,
    write: Annotated[
        bool, typer.Option("--write", help="Let agents add and delete documents.")
    ] = False,
    max_tokens: Annotated[
        int, typer.Option(min=500, help="How long an answer may be, in tokens of 3 bytes.")
    ] = 4000,
    http: Annotated[
        bool, typer.Option("--http", help="Serve over HTTP, not over standard streams.")
    ] = False,
    host: o.Host = "127.0.0.1",
    port: o.Port = 8080,
    host_name: o.HostName = None,
    api_key: o.ApiKey = None,
    model: o.SearchModel = None,
    device: o.Device = None,
) -> None:
    """Let agents search an index, over the Model Context Protocol."""
    try:
        from m3kit.server.mcp import serve_mcp, serve_mcp_http
    except ModuleNotFoundError as error:
        raise ModelError(
            f"an MCP server needs {error.name}, which is not installed: pip install 'm3kit[mcp]'"
        ) from error
    with open_existing(in_) as index:
        encoder = load_encoder(model or model_of(index), device)
        if not http:
            serve_mcp(encoder, index, write=write, max_tokens=max_tokens)
            return
        serve_mcp_http(
            encoder,
            index,
            write=write,
            max_tokens=max_tokens,
            host=host,
            port=port,
            api_key=api_key or None,
            hosts=host_name or (),
        )
