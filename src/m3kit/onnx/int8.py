"""
Weights as 8-bit numbers, and what they are multiplied by.

A linear map keeps a scale for each `BLOCK` of neighbouring inputs of each output, and a table of
embeddings one for each row; so one large weight coarsens few others. Vectors, the positions and
both heads stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

BLOCK = 64
_LARGEST = 127
_ZERO = 128  # what ONNX Runtime takes an unsigned number for zero


def scales(name: str) -> str:
    """Return the name of the scales of a tensor."""
    return f"{name}:scales"


def quantized(tensors: Iterable[tuple[str, NDArray[Any]]]) -> Iterator[tuple[str, NDArray[Any]]]:
    """Replace the large matrices of a backbone by their 8-bit form and their scales."""
    for name, tensor in tensors:
        if name == "embeddings.word_embeddings.weight":
            yield from zip((name, scales(name)), _rows(tensor), strict=True)
        elif name.startswith("encoder.") and tensor.ndim == 2:
            yield from zip((name, scales(name)), _blocks(tensor), strict=True)
        else:
            yield name, tensor


def _rows(table: NDArray[Any]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Quantize with a scale for each row, shape `(rows, 1)`."""
    numbers, scale = _divided(table.astype(np.float32))
    return numbers, scale


def _blocks(matrix: NDArray[Any]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Quantize by blocks; shapes `(outputs, blocks, BLOCK)` and `(outputs, blocks)`."""
    outputs, inputs = matrix.shape
    padded = np.zeros((outputs, -(-inputs // BLOCK) * BLOCK), np.float32)
    padded[:, :inputs] = matrix
    numbers, scale = _divided(padded.reshape(outputs, -1, BLOCK))
    return (numbers.astype(np.int16) + _ZERO).astype(np.uint8), scale[..., 0]


def _divided(numbers: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Divide by the largest of the last dimension, so that it becomes 127."""
    largest = np.maximum(numbers.max(-1, keepdims=True), -numbers.min(-1, keepdims=True))
    scale = np.where(largest > 0, largest / np.float32(_LARGEST), np.float32(1))
    divided = numbers / scale
    return np.rint(divided, out=divided).astype(np.int8), scale
