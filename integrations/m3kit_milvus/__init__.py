"""BGE-M3 on Milvus: `MilvusIndex` over `pymilvus`, in Milvus Lite and on servers."""

from __future__ import annotations

from m3kit_milvus.embedding import M3EmbeddingFunction
from m3kit_milvus.index import MilvusIndex
from m3kit_milvus.layout import LANGCHAIN, LLAMA_INDEX, M3KIT
from m3kit_milvus.opening import open_server
from m3kit_milvus.options import MilvusOptions

__all__ = [
    "LANGCHAIN",
    "LLAMA_INDEX",
    "M3KIT",
    "M3EmbeddingFunction",
    "MilvusIndex",
    "MilvusOptions",
    "open_server",
]
