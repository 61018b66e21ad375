"""JSONL: a document per line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import BufferedReader
from typing import Any

from m3kit.ingest.documents import Item, Reject
from m3kit.ingest.fields import check_object, to_item
from m3kit.ingest.formats import ReadOptions
from m3kit.ingest.texts import lines_of, undecoded


def read(stream: BufferedReader, name: str, options: ReadOptions) -> Iterator[Item]:
    """Read an object per line; blank lines do not count."""
    lines = ((line, text) for line, text in lines_of(stream) if text.strip())
    for number, (line, text) in enumerate(lines, start=1):
        try:
            fields = _object(text.rstrip())
        except (TypeError, ValueError) as error:
            yield Reject(name, line, str(error))
        else:
            yield to_item(fields, options, source=name, number=number, line=line)


def _object(text: str) -> dict[str, Any]:
    if reason := undecoded(text):
        raise ValueError(reason)
    try:
        return check_object(json.loads(text))
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg} at column {error.colno}") from error
    except RecursionError as error:
        raise ValueError(f"JSON that cannot be read: {error}") from error
