"""
BGE-M3 over HTTP: one model for many processes. It needs m3kit's extra `serve`.

`create_app` makes an ASGI application, `serve` runs it; `m3kit serve` does so from a shell.
"""

from m3kit.server.app import create_app
from m3kit.server.limits import Limits
from m3kit.server.playground import Playground
from m3kit.server.running import serve

__all__ = ["Limits", "Playground", "create_app", "serve"]
