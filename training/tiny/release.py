"""The files of the model that ships, small in a compressed archive."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import torch
from safetensors.torch import save_file
from training.tiny.initial import config
from training.tiny.options import Options

from m3kit.training.model import HEADS, M3Model

_MANTISSA = 10  # bits of a float16
BITS = 5
"""How many of them are stored: as exact as int8."""
SMALL = ("tokenizer.json", "tokenizer_config.json")


def write_release(
    model: M3Model, source: Path, folder: Path, options: Options, bits: int = BITS
) -> None:
    """
    Write a trained model in float16, in the published layout.

    Weights are rounded to `bits` bits of mantissa. Files keep their size; what is zero behind
    those bits takes no place in a wheel, which is compressed.

    Args:
        model: The trained model.
        source: Where its tokenizer is.
        folder: Where to write.
        options: What it was trained with.
        bits: At most 10, which rounds nothing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state = {
        name: rounded(tensor, bits)
        for name, tensor in model.backbone.state_dict().items()
        if "pooler" not in name and "position_ids" not in name
    }
    save_file(state, folder / "model.safetensors", {"format": "pt"})
    for name in HEADS.values():
        head = getattr(model, name).state_dict()
        half = {key: tensor.half().clone() for key, tensor in head.items()}
        torch.save(half, folder / f"{name}.pt")
    for name in SMALL:
        shutil.copyfile(source / name, folder / name)
    content = json.dumps(config(options, "float16"), indent=2) + "\n"
    (folder / "config.json").write_text(content, "utf-8")


def rounded(tensor: torch.Tensor, bits: int) -> torch.Tensor:
    """Round a tensor to float16 with `bits` bits of mantissa; ties go away from zero."""
    half = tensor.detach().to(torch.float16).contiguous()
    dropped = _MANTISSA - bits
    if dropped <= 0 or tensor.dim() < 2:
        return half
    whole = half.view(torch.int16).to(torch.int32)
    magnitude, sign = whole & 0x7FFF, whole & 0x8000
    magnitude = ((magnitude + (1 << (dropped - 1))) >> dropped) << dropped
    return (magnitude | sign).to(torch.int16).view(torch.float16)


def compressed_size(folder: Path) -> int:
    """Return how many bytes the files of a folder take in a wheel."""
    archive = folder.with_suffix(".zip")
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as wheel:
        for file in sorted(folder.iterdir()):
            wheel.write(file, file.name)
    size = archive.stat().st_size
    archive.unlink()
    return size
