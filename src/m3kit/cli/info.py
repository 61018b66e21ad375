"""What `m3kit info` says."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, entry_points, version
from typing import Any

import m3kit
from m3kit.cli.opening import opened
from m3kit.vectors import REPS

_PACKAGES = (
    "numpy",
    "torch",
    "onnxruntime",
    "tokenizers",
    "safetensors",
    "qdrant-client",
    "qdrant-edge-py",
    "pymilvus",
    "milvus-lite",
    "pyvespa",
    "langchain-core",
    "llama-index-core",
)


def facts(address: str | None) -> dict[str, Any]:
    """Return the object that `info --json` prints."""
    return {
        "m3kit": m3kit.__version__,
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "devices": _devices(),
        "schemes": sorted(entry_points(group="m3kit.indexes").names),
        "index": None if address is None else _index(address),
    }


def told(known: Mapping[str, Any]) -> dict[str, str]:
    """Say the same facts for people."""
    lines = {name: known[name] for name in ("m3kit", "python")}
    lines |= {name: number or "not installed" for name, number in known["packages"].items()}
    lines["devices"] = ", ".join(known["devices"] or ["unknown without torch"])
    lines["indexes"] = ", ".join(f"{scheme}://" for scheme in known["schemes"]) or "none"
    if held := known["index"]:
        lines["index"] = held["address"]
        lines["model"] = held["model"] or "unknown"
        lines["holds"] = f"{held['count']} documents, {', '.join(held['reps'])}"
    return lines


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
    with opened(address) as index:
        return {
            "address": address,
            "model": index.model,
            "reps": [rep for rep in REPS if rep in index.reps],
            "count": index.count(),
        }
