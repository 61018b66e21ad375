"""What `m3kit info` reports."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, entry_points, version
from typing import Any, Protocol, runtime_checkable

import m3kit
from m3kit.cli.opening import open_existing
from m3kit.index import HybridIndex
from m3kit.vectors import REPS

_PACKAGES = (
    "numpy",
    "torch",
    "onnxruntime",
    "tokenizers",
    "safetensors",
    "huggingface-hub",
    "qdrant-client",
    "qdrant-edge-py",
    "pymilvus",
    "milvus-lite",
    "pyvespa",
    "langchain-core",
    "llama-index-core",
    "fastapi",
    "uvicorn",
    "httpx",
    "ir-measures",
    "mteb",
)


@runtime_checkable
class _ReportsUnindexedFields(Protocol):
    """An index of a store that has indexes on fields of the metadata."""

    def unindexed_fields(self) -> list[str]: ...


def collect_info(address: str | None) -> dict[str, Any]:
    """Return the object that `info --json` prints."""
    return {
        "m3kit": m3kit.__version__,
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "devices": _devices(),
        "schemes": sorted(entry_points(group="m3kit.indexes").names),
        "index": None if address is None else _index(address),
    }


def to_rows(info: Mapping[str, Any]) -> dict[str, str]:
    """Return the rows of the table that `info` shows."""
    rows = {name: info[name] for name in ("m3kit", "python")}
    rows |= {name: number or "not installed" for name, number in info["packages"].items()}
    rows["devices"] = ", ".join(info["devices"] or ["unknown without torch"])
    rows["indexes"] = ", ".join(f"{scheme}://" for scheme in info["schemes"]) or "none"
    if index := info["index"]:
        rows["index"] = index["address"]
        rows["model"] = index["model"] or "unknown"
        rows["holds"] = f"{index['count']} documents, {', '.join(index['reps'])}"
        if index["unindexed_fields"]:
            rows["unindexed fields"] = ", ".join(index["unindexed_fields"])
    return rows


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _devices() -> list[str] | None:
    try:
        import torch
    except ModuleNotFoundError:
        return None
    cuda = [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    return ["cpu", *cuda, *(["mps"] if torch.backends.mps.is_available() else [])]


def _index(address: str) -> dict[str, Any]:
    with open_existing(address) as index:
        return {
            "address": address,
            "model": index.model,
            "reps": [rep for rep in REPS if rep in index.reps],
            "count": index.count(),
            "unindexed_fields": _unindexed_fields(index),
        }


def _unindexed_fields(index: HybridIndex) -> list[str] | None:
    return index.unindexed_fields() if isinstance(index, _ReportsUnindexedFields) else None
