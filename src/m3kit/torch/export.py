"""A checkpoint's tensors for a runtime that is not PyTorch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from m3kit.backend.checkpoint import Checkpoint
from m3kit.torch.weights import Weights

_CPU = torch.device("cpu")


def tensors(checkpoint: Checkpoint) -> Iterator[tuple[str, NDArray[np.floating[Any]]]]:
    """
    Yield what a forward pass uses: name and values, read one at a time.

    The names are those of transformers for the backbone, those of their files for the heads
    (`sparse_linear.weight`). What float16 holds without loss is float16, all else float32.

    Raises:
        CheckpointError: If a tensor is missing, or has another shape than in `config.json`.
    """
    backbone = Weights(checkpoint.weights_files(), _CPU)
    for name, shape in _shapes(checkpoint.config).items():
        yield name, _narrowed(backbone(name, *shape))
    width = checkpoint.config["hidden_size"]
    for file in checkpoint.head_files():
        head = Weights([file], _CPU)
        yield f"{file.stem}.weight", _narrowed(head("weight", -1, width))
        yield f"{file.stem}.bias", _narrowed(head("bias", -1))


def _shapes(config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    width, inner = config["hidden_size"], config["intermediate_size"]
    shapes: dict[str, tuple[int, ...]] = {
        f"embeddings.{name}_embeddings.weight": (-1, width)
        for name in ("word", "position", "token_type")
    }
    vectors = {"embeddings.LayerNorm": width}
    for number in range(config["num_hidden_layers"]):
        base = f"encoder.layer.{number}"
        parts = ("self.query", "self.key", "self.value", "output.dense")
        matrices = {f"{base}.attention.{part}": (width, width) for part in parts}
        matrices[f"{base}.intermediate.dense"] = (inner, width)
        matrices[f"{base}.output.dense"] = (width, inner)
        shapes |= {f"{name}.weight": shape for name, shape in matrices.items()}
        shapes |= {f"{name}.bias": shape[:1] for name, shape in matrices.items()}
        vectors |= {f"{base}.{name}.LayerNorm": width for name in ("attention.output", "output")}
    for name, size in vectors.items():
        shapes |= {f"{name}.weight": (size,), f"{name}.bias": (size,)}
    return shapes


def _narrowed(tensor: torch.Tensor) -> NDArray[np.floating[Any]]:
    exact = all(bool((part.half().float() == part).all()) for part in (tensor[:1], tensor))
    return (tensor.half() if exact else tensor).numpy()
