"""Low-rank matrices beside those of the encoder, by peft."""

from __future__ import annotations

import warnings
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from safetensors.torch import load_file, save_file

_FILE = "lora.safetensors"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoraOptions:
    """
    Low-rank adaptation.

    Args:
        rank: Of the matrices.
        alpha: Their products are scaled by `alpha / rank`.
        dropout: Of their input.
        modules: The ends of the names of the matrices that they stand beside.
    """

    rank: int = 16
    alpha: int = 32
    dropout: float = 0.0
    modules: tuple[str, ...] = ("query", "key", "value", "dense")


def wrap(backbone: Any, options: LoraOptions) -> Any:
    """Return a transformer of which only the low-rank matrices are trained."""
    config = LoraConfig(
        r=options.rank,
        lora_alpha=options.alpha,
        lora_dropout=options.dropout,
        target_modules=rf"encoder\..*\.({'|'.join(options.modules)})",
    )
    with warnings.catch_warnings():  # peft 0.21 reads a name that transformers 5.24 has changed
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
        return get_peft_model(backbone, config)


def merged_state(backbone: Any) -> dict[str, torch.Tensor]:
    """Return the weights of a wrapped transformer, the matrices added to them."""
    state: dict[str, torch.Tensor] = deepcopy(backbone).merge_and_unload().state_dict()
    return state


def save_adapter(backbone: Any, folder: Path) -> None:
    """Write the low-rank matrices alone."""
    state = get_peft_model_state_dict(backbone)
    save_file({name: tensor.cpu().contiguous() for name, tensor in state.items()}, folder / _FILE)


def load_adapter(backbone: Any, folder: Path) -> None:
    """Take the low-rank matrices of a folder."""
    set_peft_model_state_dict(backbone, load_file(folder / _FILE))
