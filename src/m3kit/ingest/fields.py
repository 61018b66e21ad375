"""From the fields of a record to a document, alike for JSONL, JSON, CSV, Parquet and datasets."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from m3kit.ingest.documents import Item, Reject, SourceDocument
from m3kit.ingest.formats import ReadOptions


def to_item(
    fields: Mapping[str, Any],
    options: ReadOptions,
    *,
    source: str,
    number: int,
    line: int | None = None,
) -> Item:
    """
    Make a document of a record: its text, its id, and all other fields as metadata.

    Args:
        fields: The record. An object `metadata` is merged with the other fields.
        options: Which fields have the text and the id.
        source: The file's name.
        number: The record's number in the file, from 1.
        line: The line on which it begins.
    """
    rest = dict(fields)
    try:
        text = _text(rest, options.text_fields)
        id_ = _id(rest, options.id_field, f"{source}#{number}")
        metadata = _metadata(rest)
    except (TypeError, ValueError) as error:
        item: Item = Reject(source, line, str(error))
    else:
        item = checked(id_, text, metadata, source=source, line=line)
    if line is None and isinstance(item, Reject):
        return replace(item, reason=f"record {number}: {item.reason}")
    return item


def checked(
    id_: str, text: str, metadata: Mapping[str, Any], *, source: str, line: int | None
) -> Item:
    """Make a document, or reject what cannot be one."""
    try:
        return SourceDocument(id_, text, metadata, source=source, line=line)
    except (TypeError, ValueError, RecursionError) as error:
        notes = (f" ({note})" for note in getattr(error, "__notes__", ()))
        return Reject(source, line, "".join([str(error), *notes]))


def check_object(value: object) -> dict[str, Any]:
    """
    Return a JSON object.

    Raises:
        TypeError: If it is something else.
    """
    if not isinstance(value, dict):
        raise TypeError(f"a JSON object is expected, not {brief(value)}")
    return value


def brief(value: object) -> str:
    """Return a value as JSON, shortened to 40 characters."""
    text = json.dumps(value, ensure_ascii=False, default=repr)
    return text if len(text) <= 40 else f"{text[:39]}…"


def _text(rest: dict[str, Any], names: tuple[str, ...]) -> str:
    present = [name for name in names if name in rest]
    if not present:
        raise ValueError(
            f"no field {' or '.join(map(repr, names))}; the fields are {', '.join(rest) or 'none'}:"
            " name the field that has the text with --text-field"
        )
    values = {name: rest.pop(name) for name in present}
    if len(names) > 1:
        values = {name: value for name, value in values.items() if value not in {None, ""}}
    for name, value in values.items():
        if not isinstance(value, str):
            raise TypeError(f"the field {name!r} is no string: {brief(value)}")
    return "\n\n".join(values.values())


def _id(rest: dict[str, Any], name: str | None, default: str) -> str:
    if name is not None and name not in rest:
        raise ValueError(
            f"no field {name!r}, which has the id; the fields are {', '.join(rest) or 'none'}"
        )
    value = rest.pop(name or "id", default)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise TypeError(f"the field {name or 'id'!r} is no string: {brief(value)}")
    return value


def _metadata(rest: dict[str, Any]) -> dict[str, Any]:
    """Merge the object `metadata` with the other fields, which must not contradict it."""
    if not isinstance(rest.get("metadata", {}), Mapping | None):
        return rest
    inner = rest.pop("metadata", None) or {}
    for key in inner.keys() & rest.keys():
        if inner[key] != rest[key]:
            raise ValueError(f"{key!r} is both in metadata and beside it; keep one of them")
    return {**inner, **rest}
