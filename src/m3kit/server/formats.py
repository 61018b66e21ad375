"""Outputs as JSON, MessagePack or safetensors."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

import msgpack
import numpy as np
import orjson
from numpy.typing import NDArray
from safetensors.numpy import save
from starlette.responses import Response

from m3kit.arrays import Dtype, to_arrays
from m3kit.scoring import require
from m3kit.server.service import Encoded
from m3kit.vectors import M3Output

Format: TypeAlias = Literal["json", "msgpack", "safetensors"]

MEDIA_TYPES: Mapping[Format, str] = {
    "json": "application/json",
    "msgpack": "application/msgpack",
    "safetensors": "application/safetensors",
}
"""How each is named in the headers Accept and Content-Type."""


_NAMES = {np.dtype(name): name for name in ("float32", "float16", "int64")}


def chosen_format(accept: str) -> Format:
    """Return the format that the header Accept names; JSON where it names none of them."""
    for name, media_type in MEDIA_TYPES.items():
        if name != "json" and media_type in accept.lower():
            return name
    return "json"


def encoded_bytes(encoded: Encoded, model: str, format_: Format, dtype: Dtype) -> bytes:
    """
    Write outputs.

    JSON is `{"model", "tokens", "truncated", "longest", "data": [{"dense", "sparse", "colbert"}]}`.
    The other two hold the arrays of `m3kit.arrays`: MessagePack as `{"dtype", "shape", "data"}`
    under `arrays`, beside the same four keys and `texts`; safetensors has these five as metadata.
    """
    outputs = encoded.outputs
    about: dict[str, Any] = {
        "model": model,
        "tokens": encoded.tokens,
        "truncated": encoded.truncated,
        "longest": encoded.longest,
    }
    if format_ == "json":
        return json_bytes({**about, "data": [_plain(output, dtype) for output in outputs]})
    arrays = to_arrays(outputs, dtype)
    about = {**about, "texts": len(outputs)}
    if format_ == "safetensors":
        return save(arrays, {name: str(value) for name, value in about.items()})
    packed = {
        name: {"dtype": _NAMES[array.dtype], "shape": array.shape, "data": _bytes(array)}
        for name, array in arrays.items()
    }
    return msgpack.packb({**about, "arrays": packed})  # type: ignore[no-any-return]  # untyped


def _bytes(array: NDArray[Any]) -> memoryview | bytes:
    """Return an array's bytes, without a copy where there are any."""
    return np.ascontiguousarray(array).data.cast("B") if array.size else b""


def json_bytes(value: object) -> bytes:
    """Write JSON, with NumPy's arrays as lists and the shortest digits that read back alike."""
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)


def json_response(value: object) -> Response:
    """Answer with JSON."""
    return Response(json_bytes(value), media_type="application/json")


def dense_base64(output: M3Output) -> str:
    """Return a dense vector as the base64 of little-endian float32, as OpenAI does."""
    dense = require(output.dense, "dense")
    return base64.b64encode(dense.astype("<f4").tobytes()).decode()


def sparse_items(output: M3Output, names: tuple[str, str]) -> Sequence[dict[str, Any]]:
    """Return lexical weights as objects whose keys are called `names`."""
    weights = require(output.sparse, "sparse")
    index, value = names
    pairs = zip(weights.ids.tolist(), weights.weights, strict=True)
    return [{index: id_, value: weight} for id_, weight in pairs]


def _plain(output: M3Output, dtype: Dtype) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    if output.dense is not None:
        plain["dense"] = np.ascontiguousarray(output.dense, dtype)
    if output.sparse is not None:
        pairs = zip(output.sparse.ids.tolist(), output.sparse.weights, strict=True)
        plain["sparse"] = {str(id_): weight for id_, weight in pairs}
    if output.colbert is not None:
        plain["colbert"] = np.ascontiguousarray(output.colbert, dtype)
    return plain
