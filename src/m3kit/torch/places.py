"""Where models are computed, and how much at once."""

from __future__ import annotations

import torch

_CPU_TOKENS, _DEVICE_TOKENS = 2048, 32768


def best_device() -> str:
    """Name the device that is taken where none is asked for: CUDA or MPS, else the CPU."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def batch_tokens(place: torch.device) -> int:
    """Say how many tokens a forward pass has there by default."""
    return _CPU_TOKENS if place.type == "cpu" else _DEVICE_TOKENS
