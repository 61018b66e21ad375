"""Tensors in files next to a graph, which refers to them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from onnx import StringStringEntryProto, TensorProto

_TYPES = {
    "F32": TensorProto.FLOAT,
    "float32": TensorProto.FLOAT,
    "F16": TensorProto.FLOAT16,
    "float16": TensorProto.FLOAT16,
    "int8": TensorProto.INT8,
    "uint8": TensorProto.UINT8,
}
_ALIGNMENT = 64  # bytes; what the widest registers load at once


@dataclass(frozen=True, slots=True)
class Place:
    """
    Where a tensor is.

    Args:
        file: The file's name; a graph that points to it lies in the same folder.
        data_type: The tensor's type, by ONNX's number.
        shape: Its shape.
        offset: Bytes before it.
        length: Bytes of it.
    """

    file: str
    data_type: int
    shape: tuple[int, ...]
    offset: int
    length: int

    def initializer(self, name: str) -> TensorProto:
        """Return what stands in a graph for the tensor."""
        where = {"location": self.file, "offset": self.offset, "length": self.length}
        return TensorProto(
            name=name,
            data_type=self.data_type,
            dims=self.shape,
            data_location=TensorProto.EXTERNAL,
            external_data=[
                StringStringEntryProto(key=key, value=str(value)) for key, value in where.items()
            ],
        )


Places: TypeAlias = Mapping[str, Place]
"""The weights of a model by their names."""


def write_stored(path: Path, tensors: Iterable[tuple[str, NDArray[Any]]]) -> Places:
    """
    Write tensors as they come, so that one of them is in memory at a time.

    Raises:
        OSError: If the disk is full.
    """
    places = {}
    with path.open("wb") as file:
        for name, tensor in tensors:
            file.write(bytes(-file.tell() % _ALIGNMENT))
            data = np.ascontiguousarray(tensor)
            kind = _TYPES[data.dtype.name]
            places[name] = Place(path.name, kind, data.shape, file.tell(), data.nbytes)
            file.write(data.data)
    return places


def stored_in(path: Path) -> Places:
    """Find the tensors of a safetensors file, by the header in front of them."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header: dict[str, Any] = json.loads(file.read(length))
    header.pop("__metadata__", None)
    places = {}
    for name, entry in header.items():
        kind, shape = _TYPES[entry["dtype"]], tuple(entry["shape"])
        first, last = entry["data_offsets"]
        places[name] = Place(path.name, kind, shape, 8 + length + first, last - first)
    return places
