"""BGE-M3 on Milvus: `MilvusIndex` over `pymilvus`, in Milvus Lite and on servers."""

from __future__ import annotations

from m3kit_milvus.index import MilvusIndex
from m3kit_milvus.opening import open_server

__all__ = ["MilvusIndex", "open_server"]
