"""Opening the model and the index of a command."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from m3kit.cli.exit_codes import ModelError
from m3kit.index import (
    HybridIndex,
    IndexNotFoundError,
    M3Error,
    OpenedIndex,
    RepresentationError,
    open_index,
)
from m3kit.records import Record
from m3kit.vectors import REPS, M3Output, Rep
from m3kit.with_colbert import WithColbert

if TYPE_CHECKING:
    from m3kit.backend.encoder import TextEncoder  # its imports take time
    from m3kit.remote import RemoteEncoder
    from m3kit.torch import CrossEncoder

    AnyEncoder: TypeAlias = TextEncoder | RemoteEncoder

DEFAULT_MODEL = "BAAI/bge-m3"


def load_encoder(model: str, device: str | None = None) -> AnyEncoder:
    """
    Load a model; a download shows its progress on a terminal.

    PyTorch runs the model if it is installed, or else ONNX Runtime, which also runs what `m3kit
    export` wrote. Behind a URL, a server does.

    Raises:
        ModelError: If it cannot be loaded.
    """
    try:
        if model.startswith(("http://", "https://")):
            return _connect(model, device)
        return _load_onnx(model, device) if _is_exported(model) else _load_torch(model, device)
    except M3Error as error:
        raise ModelError(str(error)) from error
    except (RuntimeError, AssertionError) as error:  # PyTorch's, of a missing device
        raise ModelError(f"cannot load {model} on {device or 'any device'}: {error}") from error


def load_reranker(model: str, device: str | None = None) -> CrossEncoder:
    """
    Load a reranker.

    Raises:
        ModelError: If it cannot be loaded.
    """
    try:
        from m3kit.torch import CrossEncoder
    except ModuleNotFoundError as error:
        raise ModelError(
            f"a reranker needs {error.name}, which is not installed: pip install 'm3kit[torch]'"
        ) from error
    try:
        return CrossEncoder.from_pretrained(model, device=device)
    except M3Error as error:
        raise ModelError(str(error)) from error


def _connect(url: str, device: str | None) -> RemoteEncoder:
    try:
        from m3kit.remote import RemoteEncoder
    except ModuleNotFoundError as error:
        raise ModelError(
            f"a server needs {error.name}, which is not installed: pip install 'm3kit[remote]'"
        ) from error
    if device is not None:
        raise ModelError(f"{url} computes where it is; leave --device out")
    return RemoteEncoder(url, api_key=os.environ.get("M3KIT_API_KEY") or None)


def _is_exported(model: str) -> bool:
    folder = Path(model).expanduser()
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    return bool(names & {"fp32.onnx", "int8.onnx"}) and "model.safetensors" not in names


def _load_torch(model: str, device: str | None) -> TextEncoder:
    try:
        from m3kit.backend.locate import locate
        from m3kit.torch import TorchEncoder
    except ModuleNotFoundError as error:
        return _load_onnx(model, device, instead_of=error.name)
    _, folder = locate(model, revision=None, cache_dir=None, progress=sys.stderr.isatty())
    return TorchEncoder.from_pretrained(folder, device=device)


def _load_onnx(model: str, device: str | None, *, instead_of: str | None = None) -> TextEncoder:
    try:
        from m3kit.backend.locate import locate
        from m3kit.onnx import OnnxEncoder
        from m3kit.onnx.metadata import PATTERNS
    except ModuleNotFoundError as error:
        missing = " or ".join(dict.fromkeys(filter(None, (instead_of, error.name))))
        raise ModelError(
            f"a model needs {missing}, which is not installed: "
            "pip install 'm3kit[torch]', or 'm3kit[onnx]' for small machines"
        ) from error
    if device not in {None, "cpu"}:
        raise ModelError(f"ONNX Runtime computes on the CPU here, and --device asks for {device}")
    progress = sys.stderr.isatty()
    _, folder = locate(model, revision=None, cache_dir=None, progress=progress, weights=PATTERNS)
    return OnnxEncoder.from_pretrained(folder)


def check_encoder_reps(encoder: AnyEncoder, reps: Collection[Rep]) -> None:
    """
    Check that a model makes these representations.

    Raises:
        ModelError: If it does not.
    """
    if missing := frozenset(reps) - encoder.reps:
        raise ModelError(
            f"{encoder.model} makes {_join(encoder.reps)} vectors and no {_join(missing)}; "
            "leave --reps out for all that it makes"
        )


def add_missing_reps(record: Record, encoder: AnyEncoder) -> M3Output:
    """Return a record's vectors; representations that it lacks are encoded from its text."""
    missing = encoder.reps - record.output.reps
    if not missing:
        return record.output
    (encoded,) = encoder.encode_documents([record.document.text], missing)
    return replace(record.output, **{rep: getattr(encoded, rep) for rep in missing})


def model_of(index: HybridIndex) -> str:
    """
    Return the name by which the model that made an index can be loaded.

    Raises:
        ModelError: If it was loaded from a folder, or the index does not record it.
    """
    if index.model is None:
        raise ModelError("the index does not record its model; give the model with --model")
    name = index.model.rpartition("@")[0] or index.model
    if "/" not in name and not files("m3kit").joinpath("checkpoints", name).is_dir():
        raise ModelError(f"the index was made by {index.model}; give its folder with --model")
    return name


@contextmanager
def open_existing(address: str) -> Iterator[OpenedIndex]:
    """
    Open an index, and close it at the end.

    Raises:
        IndexNotFoundError: If there is none.
    """
    if "://" not in address and not Path(address).exists():
        raise IndexNotFoundError(
            f"there is no index at {address}; make one with `m3kit index FILE --to {address}`"
        )
    with _address_errors():
        index = open_index(address)
    with index:
        yield index


@contextmanager
def open_for_writing(
    encoder: AnyEncoder, address: str, reps: Collection[Rep] | None
) -> Iterator[OpenedIndex]:
    """
    Open the index at an address, or create it for an encoder; close it at the end.

    Args:
        encoder: The model that makes the vectors.
        address: A folder or a URL.
        reps: What the index is to hold; by default all that the encoder makes.

    Raises:
        ModelError: If the encoder does not make them.
        RepresentationError: If the index exists and holds others.
    """
    check_encoder_reps(encoder, reps or ())
    with _address_errors():
        index = open_index(address, encoder=encoder, reps=reps)
    with index:
        if reps is not None and index.reps != frozenset(reps):
            raise RepresentationError(
                f"the index at {address} exists and holds {_join(index.reps)}; leave --reps out, "
                "or create another index"
            )
        yield index


def with_colbert(
    index: HybridIndex, encoder: AnyEncoder, reps: Collection[Rep] | None
) -> HybridIndex:
    """Add ColBERT to an index that holds none, if it is among `reps`."""
    is_missing = "colbert" in (reps or ()) and "colbert" not in index.reps
    return WithColbert(index, encoder) if is_missing else index


def _join(reps: Collection[Rep]) -> str:
    return ",".join(rep for rep in REPS if rep in reps)


@contextmanager
def _address_errors() -> Iterator[None]:
    """Turn every error of an address into an `IndexNotFoundError`."""
    try:
        yield
    except M3Error:
        raise
    except (ValueError, ConnectionError) as error:
        raise IndexNotFoundError(str(error)) from error
    except ModuleNotFoundError as error:
        raise IndexNotFoundError(
            f"this index needs {error.name}, which is not installed: "
            "pip install 'm3kit[qdrant,milvus,vespa]'"
        ) from error
