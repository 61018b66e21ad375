"""Reading a checkpoint's files; nothing in them is executed."""

from __future__ import annotations

import json
import pickle
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from m3kit.index import M3Error


class CheckpointError(M3Error, ValueError):
    """A checkpoint that is not there, or that this encoder cannot read; it says what and why."""


def read_json(path: Path, default: Any = None) -> Any:
    """
    Read a JSON file, or return `default` where there is none and a default is given.

    Raises:
        CheckpointError: If it is missing or broken.
    """
    if default is not None and not path.is_file():
        return default
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"cannot read {path}: {error}") from error


def load_tensors(path: Path) -> dict[str, torch.Tensor]:
    """
    Map what `torch.save` wrote into memory, a dict of tensors and nothing else.

    Raises:
        CheckpointError: If it is broken or holds more than tensors.
    """
    try:
        loaded = torch.load(
            path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path)
        )
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        first_line = str(error).partition("\n")[0]
        raise CheckpointError(
            f"{path} is broken, or holds more than tensors and is refused: {first_line}"
        ) from error
    if not isinstance(loaded, Mapping) or not all(map(torch.is_tensor, loaded.values())):
        raise CheckpointError(f"{path} does not hold tensors by name")
    return dict(loaded)


class Weights:
    """
    The tensors of a backbone, read one at a time and widened to float32.

    What already is float32 and stays on the CPU is mapped into memory, not copied; so the file
    must not be overwritten in place while an encoder lives. A prefix before all names, as models
    with a head save it (`bert.embeddings…`), is passed over.

    Raises:
        CheckpointError: If the file is broken or holds more than tensors.
    """

    def __init__(self, path: Path, device: torch.device) -> None:
        self._path = path
        self._device = device
        self._read, names = _open(path)
        self._names = frozenset(names)
        anchor = "embeddings.word_embeddings.weight"
        found = (name.removesuffix(anchor) for name in names if name.endswith(anchor))
        self._prefix = next(found, "")

    def __call__(self, name: str, *shape: int) -> torch.Tensor:
        """
        Read one tensor; -1 in `shape` stands for any size.

        Raises:
            CheckpointError: If it is missing or has another shape.
        """
        if self._prefix + name not in self._names:
            raise CheckpointError(f"{self._path} has no tensor {name!r}")
        tensor = self._read(self._prefix + name)
        check_shape(f"{name} in {self._path}", tensor, *shape)
        return tensor.to(self._device, torch.float32)


def check_shape(what: str, tensor: torch.Tensor, *shape: int) -> None:
    """
    Compare a tensor's shape with the one that the configuration promises; -1 is any size.

    Raises:
        CheckpointError: If they differ.
    """
    fits = tensor.dim() == len(shape) and all(
        want in (-1, have) for have, want in zip(tensor.shape, shape, strict=True)
    )
    if not fits:
        wanted = " x ".join("any" if size == -1 else str(size) for size in shape)
        raise CheckpointError(
            f"{what} has the shape {tuple(tensor.shape)}; by config.json it is {wanted}"
        )


def samples(path: Path, count: int = 64, length: int = 4096) -> Iterator[bytes]:
    """Yield a file's size and `count` evenly spaced pieces of it, at little cost for any size."""
    size = path.stat().st_size
    yield str(size).encode()
    with path.open("rb") as file:
        for number in range(count):
            file.seek(number * max(0, size - length) // max(1, count - 1))
            yield file.read(length)


def _open(path: Path) -> tuple[Callable[[str], torch.Tensor], list[str]]:
    if path.suffix != ".safetensors":
        tensors = load_tensors(path)
        return tensors.__getitem__, list(tensors)
    try:
        file: Any = safe_open(path, framework="pt", device="cpu")  # its stubs lack types
    except SafetensorError as error:
        raise CheckpointError(f"{path} is broken: {error}") from error
    return file.get_tensor, list(file.keys())
