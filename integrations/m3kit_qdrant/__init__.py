"""
BGE-M3 on Qdrant: `EdgeIndex` within the process, `QdrantIndex` over `qdrant-client`.

The names are looked up when they are first used, so that an Edge
index opens without `qdrant-client`, which takes a second to import, and a server's index without
`qdrant-edge-py`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from m3kit_qdrant.edge import EdgeIndex
    from m3kit_qdrant.index import QdrantIndex
    from m3kit_qdrant.layout import LANGCHAIN, LLAMA_INDEX, M3KIT
    from m3kit_qdrant.opening import open_directory, open_server
    from m3kit_qdrant.options import QdrantOptions

__all__ = [
    "LANGCHAIN",
    "LLAMA_INDEX",
    "M3KIT",
    "EdgeIndex",
    "QdrantIndex",
    "QdrantOptions",
    "open_directory",
    "open_server",
]

_MODULES = {
    "EdgeIndex": "edge",
    "LANGCHAIN": "layout",
    "LLAMA_INDEX": "layout",
    "M3KIT": "layout",
    "QdrantIndex": "index",
    "QdrantOptions": "options",
    "open_directory": "opening",
    "open_server": "opening",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
