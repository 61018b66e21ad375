"""Running an MCP server over standard streams or HTTP, until its client or a signal ends it."""

from __future__ import annotations

from collections.abc import Callable, Collection

from m3kit.encoder import Encoder
from m3kit.index import HybridIndex
from m3kit.server.limits import Limits
from m3kit.server.logs import to_stderr
from m3kit.server.mcp.app import create_mcp, create_mcp_app
from m3kit.server.running import check_exposure, run_app


def serve_mcp(
    encoder: Encoder, index: HybridIndex, *, write: bool = False, max_tokens: int = 4000
) -> None:
    """
    Serve an agent over standard input and output, until it closes them.

    Args:
        encoder: See `create_mcp`, as for what else is named here.
        index: See `create_mcp`.
        write: See `create_mcp`.
        max_tokens: See `create_mcp`.
    """
    create_mcp(encoder, index, write=write, max_tokens=max_tokens).run("stdio")


def serve_mcp_http(
    encoder: Encoder,
    index: HybridIndex,
    *,
    write: bool = False,
    max_tokens: int = 4000,
    host: str = "127.0.0.1",
    port: int = 8080,
    api_key: str | None = None,
    hosts: Collection[str] = (),
    limits: Limits = Limits(),  # noqa: B008  # frozen, so one default serves all
    on_start: Callable[[str], None] = lambda _: None,
) -> None:
    """
    Serve agents over HTTP at `/mcp`, until SIGINT or SIGTERM.

    Args:
        encoder: See `create_mcp`.
        index: See `create_mcp`.
        write: See `create_mcp`.
        max_tokens: See `create_mcp`.
        host: See `m3kit.server.serve`, as for what follows.
        port: See `serve`.
        api_key: See `create_mcp_app`.
        hosts: Further names of the server; on loopback, others than its own are refused.
        limits: See `create_mcp_app`.
        on_start: Called with the server's URL once it takes requests.
    """
    to_stderr()
    server = create_mcp(encoder, index, write=write, max_tokens=max_tokens)
    names = check_exposure(host, hosts, api_key)
    app = create_mcp_app(server, limits=limits, api_key=api_key, hosts=names)
    run_app(app, host=host, port=port, limits=limits, on_start=on_start)
