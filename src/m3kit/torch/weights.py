"""Reading a checkpoint's tensors; nothing in the files is executed."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from m3kit.backend.files import CheckpointError, check_start


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
    except Exception as error:  # what a broken pickle raises depends on where it breaks
        raise CheckpointError(_unreadable(path, error)) from error
    if not isinstance(loaded, Mapping) or not all(map(torch.is_tensor, loaded.values())):
        raise CheckpointError(f"{path} does not hold tensors by name")
    return dict(loaded)


class Weights:
    """
    The tensors of a backbone or a head, read one at a time and widened to float32.

    What already is float32 and stays on the CPU is mapped into memory, not copied; so the file
    must not be overwritten in place while an encoder lives. A prefix before all names, as models
    with a head save it (`bert.embeddings…`, `sparse_linear.weight`), is passed over. Vectors are
    looked through for NaN; matrices are not, since those of a backbone are gigabytes that are read
    when they are needed.

    Raises:
        CheckpointError: If the file is broken or holds more than tensors.
    """

    def __init__(self, files: Sequence[Path], device: torch.device) -> None:
        self.path = files[0]
        self._device = device
        self._read: dict[str, Callable[[str], torch.Tensor]] = {}
        for file in files:
            read, names = _open(file)
            self._read |= dict.fromkeys(names, read)
        anchors = ("embeddings.word_embeddings.weight", f"{self.path.stem}.weight")
        anchor = next((name for name in self._read if name.endswith(anchors)), "")
        self._prefix = anchor.removesuffix("weight").removesuffix("embeddings.word_embeddings.")

    @property
    def names(self) -> list[str]:
        """The names of the tensors, sorted and without the prefix."""
        return sorted(name.removeprefix(self._prefix) for name in self._read)

    def __call__(self, name: str, *shape: int) -> torch.Tensor:
        """
        Read one tensor; -1 in `shape` stands for any size.

        Raises:
            CheckpointError: If it is missing, has another shape, or is a vector with NaN.
        """
        full = name if name in self._read else self._prefix + name  # a head stands beside
        if full not in self._read:
            raise CheckpointError(f"{self.path} has no tensor {name!r}")
        tensor = self._read[full](full)
        what = f"{name} in {self.path}"
        check_shape(what, tensor, *shape)
        if tensor.dim() == 1:
            check_finite(what, tensor)
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


def check_finite(what: str, tensor: torch.Tensor) -> None:
    """
    Check that a tensor is finite; reads all of it.

    Raises:
        CheckpointError: If there is NaN or infinity in it.
    """
    if not bool(torch.isfinite(tensor).all()):
        raise CheckpointError(
            f"{what} has NaN or infinity in it; download it again, or train it anew"
        )


def _open(path: Path) -> tuple[Callable[[str], torch.Tensor], list[str]]:
    check_start(path)
    if path.suffix != ".safetensors":
        tensors = load_tensors(path)
        return tensors.__getitem__, list(tensors)
    try:
        file: Any = safe_open(path, framework="pt", device="cpu")  # its stubs lack types
    except SafetensorError as error:
        raise CheckpointError(f"{path} is broken ({error}); download it again") from error
    return file.get_tensor, list(file.keys())


def _unreadable(path: Path, error: Exception) -> str:
    cause = error.__context__  # PyTorch wraps it in advice to load the file unsafely
    unpickling = isinstance(error, pickle.UnpicklingError)
    message = str(cause if unpickling and cause else error).strip()
    reason = message.partition("\n")[0].partition(". ")[0].rstrip(".") or type(error).__name__
    if unpickling and "Unsupported operand" not in message:
        return (
            f"{path} holds more than tensors and is refused ({reason}); save its tensors alone, "
            "or download it again"
        )
    return f"{path} is broken ({reason}); download it again"
