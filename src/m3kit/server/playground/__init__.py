"""
A page to look at an index with: three rankings side by side, weights, explanations, judgements.

`create_app(…, playground=Playground(…))` adds it to the server; `m3kit playground` does so from a
shell.
"""

from m3kit.server.playground.options import Playground
from m3kit.server.playground.routes import router

__all__ = ["Playground", "router"]
