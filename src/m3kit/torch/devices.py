"""The choice of a device, the size of its batches, and CUDA streams."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from queue import SimpleQueue
from typing import Any

import torch

from m3kit.vectors import Floats

LANES = 2
"""Batches in flight on a device: one computes while the results of the other are fetched."""

_CPU_TOKENS, _DEVICE_TOKENS = 2048, 32768


def best_device() -> str:
    """Return the default device: CUDA or MPS if available, or else the CPU."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def batch_tokens(device: torch.device) -> int:
    """Return how many tokens a forward pass has there by default."""
    return _CPU_TOKENS if device.type == "cpu" else _DEVICE_TOKENS


@contextmanager
def on_own_stream(device: torch.device) -> Iterator[None]:
    """
    Use a CUDA stream for each thread, so that copies and kernels of threads overlap.

    Waits while `LANES` threads hold one. On other devices nothing is done.
    """
    if device.type != "cuda":
        yield
        return
    lanes = _lanes(device)
    stream = lanes.get()
    try:
        with torch.cuda.device(device), torch.cuda.stream(stream):
            yield
    finally:
        lanes.put(stream)


@cache
def _lanes(device: torch.device) -> SimpleQueue[Any]:
    lanes: SimpleQueue[Any] = SimpleQueue()
    for _ in range(LANES):
        lanes.put(torch.cuda.Stream(device))  # type: ignore[no-untyped-call]  # PyTorch has no types there
    return lanes


def to_host(tensor: torch.Tensor) -> Floats:
    """Fetch a tensor; from CUDA through page-locked memory, while other streams go on."""
    if tensor.device.type != "cuda":
        return tensor.cpu().numpy()
    host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    host.copy_(tensor, non_blocking=True)
    torch.cuda.current_stream(tensor.device).synchronize()
    return host.numpy()
