"""The files of the model that ships, small in a compressed archive."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import torch
from safetensors.torch import save_file
from training.tiny.counting import counting_entries
from training.tiny.initial import config
from training.tiny.options import Options

from m3kit.training.model import HEADS, M3Model

_GRID = 8  # steps of the grid that weights are rounded to, at least, in a standard deviation
_LEAST = 2.0**-20  # standard deviation of a row; its grid is as fine as float16 is near zero
SMALL = ("tokenizer.json", "tokenizer_config.json")


def write_release(model: M3Model, source: Path, folder: Path, options: Options) -> None:
    """
    Write a trained model in float16, in the published layout.

    The transformer's matrices, not those of the heads, are rounded to a grid, see `rounded`. Files
    keep their size; but few different numbers take little room in a wheel, which is compressed.

    Args:
        model: The trained model.
        source: Where its tokenizer is.
        folder: Where to write.
        options: What it was trained with.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state = {
        name: _stored(name, tensor, options)
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


def _stored(name: str, tensor: torch.Tensor, options: Options) -> torch.Tensor:
    """Round a tensor, but for what counts, which is mostly zero."""
    if tensor.dim() == 1 or "embeddings" in name:
        return rounded(tensor)
    counting = counting_entries(name, tensor, options)
    return torch.where(counting, tensor.half(), rounded(tensor)).contiguous()


def rounded(tensor: torch.Tensor) -> torch.Tensor:
    """
    Round a tensor to float16; each row of a matrix to the nearest of evenly spaced numbers.

    Their distance is a power of two, from an eighth to a 16th of the row's standard deviation.
    """
    exact = tensor.detach().float()
    if tensor.dim() > 1:
        spread = exact.std(dim=1, keepdim=True).clamp_min(_LEAST)
        step = torch.exp2(torch.floor(torch.log2(spread / _GRID)))
        exact = torch.round(exact / step) * step
    return exact.to(torch.float16).contiguous()


def compressed_size(folder: Path) -> int:
    """Return how many bytes the files of a folder take in a wheel."""
    archive = folder.with_suffix(".zip")
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as wheel:
        for file in sorted(folder.iterdir()):
            wheel.write(file, file.name)
    size = archive.stat().st_size
    archive.unlink()
    return size
