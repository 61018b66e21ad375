"""
An index for agents: a server of the Model Context Protocol. It needs m3kit's extra `mcp`.

`create_mcp` makes the server, `serve_mcp` and `serve_mcp_http` run it; `m3kit mcp` does so from a
shell.
"""

from m3kit.server.mcp.app import create_mcp, create_mcp_app
from m3kit.server.mcp.running import serve_mcp, serve_mcp_http

__all__ = ["create_mcp", "create_mcp_app", "serve_mcp", "serve_mcp_http"]
