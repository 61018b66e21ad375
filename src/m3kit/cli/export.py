"""`m3kit export`: write a checkpoint for ONNX Runtime, and measure how exact the result is."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from errno import ENOSPC
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from m3kit.cli.exactness import MEASURES, TEXTS, errors
from m3kit.cli.exit_codes import InputError, ModelError
from m3kit.index import M3Error
from m3kit.vectors import REPS


class Precisions(StrEnum):
    """The number format of a graph."""

    fp32 = "fp32"
    int8 = "int8"


ModelArgument: TypeAlias = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        show_default=False,
        help="tiny, a folder, or a name on the Hugging Face hub.",
    ),
]
FolderArgument: TypeAlias = Annotated[
    Path, typer.Argument(metavar="FOLDER", show_default=False, help="A folder that does not exist.")
]
PrecisionOption: TypeAlias = Annotated[
    Precisions | None,
    typer.Option("--precision", show_default=False, help="Only one graph; by default both."),
]


def export(model: str, folder: Path, precisions: Sequence[Precisions]) -> Iterator[str]:
    """
    Write a checkpoint's graphs, tokenizer and configuration, and report the error of each graph.

    Yields:
        Lines for the user.

    Raises:
        InputError: If the folder exists.
        ModelError: If the checkpoint cannot be loaded, or a package that the export needs is not
            installed.
        OSError: If the disk is full; nothing is left behind.
    """
    try:
        from m3kit.backend.checkpoint import read_checkpoint
        from m3kit.backend.locate import locate
        from m3kit.onnx import OnnxEncoder
        from m3kit.onnx.export import copy_small_files, write_model
        from m3kit.torch import TorchEncoder
        from m3kit.torch.export import tensors
    except ModuleNotFoundError as error:
        raise ModelError(
            f"an export needs {error.name}, which is not installed: pip install 'm3kit[export]'"
        ) from error
    with new_folder(folder) as unfinished:
        try:
            name, source = locate(
                model, revision=None, cache_dir=None, progress=sys.stderr.isatty()
            )
            reference = TorchEncoder.from_pretrained(source, device="cpu")
            checkpoint = read_checkpoint(name, source)
            copy_small_files(checkpoint, unfinished)
            for precision in precisions:
                write_model(checkpoint, tensors(checkpoint), unfinished, precision.value)
        except M3Error as error:
            raise ModelError(str(error)) from error
    reps = [rep for rep in REPS if rep in reference.reps]
    yield f"wrote {folder}; largest errors on {len(TEXTS)} texts, compared with PyTorch in float32:"
    yield " ".join([" " * 6, f"{'size':>9}", *(f"{MEASURES[rep]:>15}" for rep in reps)])
    for precision in precisions:
        size = sum(file.stat().st_size for file in folder.glob(f"{precision}.*"))
        encoder = OnnxEncoder.from_pretrained(folder, precision=precision.value)
        measured = errors(encoder, reference)
        columns = (f"{measured[rep]:15.1e}" for rep in reps)
        yield " ".join([f"{precision:6}", f"{size / 1e6:6,.0f} MB", *columns])


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """
    Yield a temporary folder, which is renamed to `folder` on success and removed on an error.

    Raises:
        InputError: If the folder exists.
        OSError: If it cannot be written; the error names `folder`.
    """
    if folder.exists() or folder.is_symlink():
        raise InputError(f"{folder} exists; give another folder, or remove it")
    unfinished = folder.parent / f".{folder.name}.{os.getpid()}"
    try:
        unfinished.mkdir(parents=True)
        yield unfinished
        unfinished.rename(folder)
    except OSError as error:
        elsewhere = error.filename and not str(error.filename).startswith(str(unfinished))
        if elsewhere and error.errno != ENOSPC:
            raise
        raise OSError(error.errno, error.strerror, str(folder)) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
