"""
The private fields of a collection that m3kit creates, which other clients may leave empty.

    _terms     Milvus Lite alone: what filters look up; see `terms.py`.
    _metadata  Servers alone: the metadata as JSON text, where it holds an integer beyond 2⁵³.
    _id        Milvus Lite 2.5 alone: an id that it takes for no key, as with a quote; its key is a
               digest.
    partition  Where it is partitioned: the value of that field of the metadata, as text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from hashlib import blake2b

from m3kit.adapters.filter_terms import EXACT, by_value
from m3kit.filters import is_number

METADATA = "_metadata"
ID = "_id"
PARTITION = "partition"
PARTITION_BYTES = 512

encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode

_UNSAFE_KEY = re.compile(r"['\x00-\x1f]|^m3kit:[0-9a-f]{32}$")
"""What Milvus Lite's core takes for no key, and what stands for such an id."""


def is_unsafe_key(id_: str) -> bool:
    """Tell whether Milvus Lite's core needs a digest in the place of an id."""
    return _UNSAFE_KEY.search(id_) is not None


def to_key(id_: str) -> str:
    """Return the key of an unsafe id, which no other id has."""
    return f"m3kit:{blake2b(id_.encode(), digest_size=16).hexdigest()}"


def to_partition(value: object) -> str:
    """Spell a value as the key of its partition; equal values have one spelling."""
    text = value if isinstance(value, str) else encode(by_value(value))
    return text.encode()[:PARTITION_BYTES].decode(errors="ignore")


def has_large_integer(value: object) -> bool:
    """Tell whether JSON that is read as floats would round a number."""
    if isinstance(value, Mapping):
        return any(map(has_large_integer, value.values()))
    if isinstance(value, list | tuple):
        return any(map(has_large_integer, value))
    return is_number(value) and isinstance(value, int) and abs(value) > EXACT
