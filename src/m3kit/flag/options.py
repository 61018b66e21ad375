"""What FlagEmbedding's arguments mean here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import torch

from m3kit.backend.checkpoint import Pooling
from m3kit.torch.devices import best_device
from m3kit.torch.encoder import TorchEncoder
from m3kit.vectors import Floats

Devices: TypeAlias = str | int | Sequence[str] | Sequence[int] | None
"""One device or several; a number is one of CUDA's. None is every CUDA device, or MPS, or CPU."""


@dataclass(frozen=True, slots=True)
class Instruction:
    r"""
    What goes in front of a text.

    Args:
        text: None leaves texts as they are.
        template: Takes the instruction and the text; a `\n` that is spelled out is a line's end.
    """

    text: str | None
    template: str

    def before(self, texts: Sequence[str]) -> Sequence[str]:
        """Put it in front of one text, or of each."""
        if self.text is None:
            return texts
        template = self.template.replace("\\n", "\n")
        if isinstance(texts, str):
            return template.format(self.text, texts)
        return [template.format(self.text, text) for text in texts]


def load(
    model: str,
    *,
    devices: Devices,
    use_fp16: bool,
    use_bf16: bool,
    normalize_embeddings: bool,
    pooling_method: str | None,
    cache_dir: str | None,
) -> TorchEncoder:
    """
    Load an encoder that puts no instruction in front of a text.

    Raises:
        CheckpointError: If there is no such checkpoint, or it is not one that can be read.
        ValueError: If an argument asks for what this encoder does not compute.
    """
    if not normalize_embeddings:
        raise ValueError(
            "normalize_embeddings=False is not computed here: vectors have unit length, so that "
            "an inner product is the cosine; leave it out"
        )
    match pooling_method:
        case None | "cls" | "mean":
            pooling: Pooling | None = pooling_method
        case _:
            raise ValueError(f'pooling_method is "cls" or "mean", not {pooling_method!r}')
    names = device_names(devices)
    return TorchEncoder.from_pretrained(
        model,
        cache_dir=cache_dir,
        devices=names,
        precision=precision(names[0], use_fp16=use_fp16, use_bf16=use_bf16),
        pooling=pooling,
        query_instruction="",
        document_instruction="",
    )


def device_names(devices: Devices) -> list[str]:
    """
    Return devices as PyTorch names them.

    Raises:
        ValueError: If the list is empty.
    """
    if devices is None:
        if torch.cuda.is_available():
            return [f"cuda:{number}" for number in range(torch.cuda.device_count())]
        return [best_device()]
    named = [devices] if isinstance(devices, str | int) else list(devices)
    if not named:
        raise ValueError("devices is an empty list; leave it out for what the machine has")
    return [name if isinstance(name, str) else f"cuda:{name}" for name in named]


def precision(
    device: str, *, use_fp16: bool, use_bf16: bool = False
) -> Literal["fp32", "bf16", "fp16"]:
    """Return what FlagEmbedding computes in: on a CPU always float32."""
    if device.startswith("cpu"):
        return "fp32"
    if use_bf16:
        return "bf16"
    return "fp16" if use_fp16 else "fp32"


def truncated(vectors: Floats, dim: int | None) -> Floats:
    """Cut unit vectors to their first `dim` numbers, of unit length again; None leaves them."""
    if dim is None:
        return vectors
    cut = vectors[..., :dim]
    shorter: Floats = cut / np.linalg.norm(cut, axis=-1, keepdims=True).clip(min=1e-12)
    return shorter
