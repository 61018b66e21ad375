"""JSON: a document per object of a list, or a single one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import BufferedReader

from m3kit.ingest.documents import Item, Reject
from m3kit.ingest.fields import check_object, to_item
from m3kit.ingest.formats import ReadOptions
from m3kit.ingest.texts import whole_text


def read(stream: BufferedReader, name: str, options: ReadOptions) -> Iterator[Item]:
    """Read a list of objects, or an object, which is held in memory as a whole."""
    text = whole_text(name, stream)
    if isinstance(text, Reject):
        yield text
        return
    if not text.strip():
        return
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        reason = f"not JSON: {error.msg} at column {error.colno}"
        hint = "; give --format jsonl if there is an object per line"
        yield Reject(name, error.lineno, reason + (hint if error.msg == "Extra data" else ""))
        return
    except (ValueError, RecursionError) as error:
        yield Reject(name, None, f"JSON that cannot be read: {error}")
        return
    for number, record in enumerate(value if isinstance(value, list) else [value], start=1):
        try:
            fields = check_object(record)
        except TypeError as error:
            yield Reject(name, None, f"record {number}: {error}")
        else:
            yield to_item(fields, options, source=name, number=number)
