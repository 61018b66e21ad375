"""The JSON that `--json` and `encode` print; the commands' help describes it."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import typer

from m3kit.explain import Explanation
from m3kit.records import Document, Hit
from m3kit.vectors import Floats, M3Output

_NUMBER = "%.9g"
"""Nine digits restore a float32 exactly, and are much faster than the shortest that do."""

_CONTROLS = re.compile(r"[\x7f-\x9f]")


def print_json(value: Mapping[str, Any]) -> None:
    """Print a line of JSON, in ASCII where the encoding of stdout is not UTF-8."""
    utf8 = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    line = json.dumps(value, ensure_ascii=not utf8, allow_nan=False)
    typer.echo(_CONTROLS.sub(lambda match: f"\\u{ord(match[0]):04x}", line))


def print_vectors(document: Document, output: M3Output) -> None:
    """Print the vectors of one document as a line."""
    parts = [f'"id": {json.dumps(document.id)}']
    if output.dense is not None:
        parts.append(f'"dense": {_numbers(output.dense)}')
    if output.sparse is not None:
        sparse = output.sparse.to_dict().items()
        weights = ", ".join(f'"{id_}": {_NUMBER % weight}' for id_, weight in sparse)
        parts.append(f'"sparse": {{{weights}}}')
    if output.colbert is not None:
        parts.append(f'"colbert": [{", ".join(_numbers(row) for row in output.colbert)}]')
    typer.echo(f"{{{', '.join(parts)}}}")


def search_json(query: str, model: str | None, hits: Sequence[Hit]) -> dict[str, Any]:
    """Return the object that `search --json` prints."""
    return {"query": query, "model": model, "hits": [hit.to_json() for hit in hits]}


def explanation_json(
    query: str, id_: str, model: str | None, explained: Explanation
) -> dict[str, Any]:
    """Return the object that `explain --json` prints."""
    return {"query": query, "id": id_, "model": model, **explained.to_json()}


def _numbers(vector: Floats) -> str:
    return f"[{', '.join([_NUMBER] * len(vector)) % tuple(vector.tolist())}]"
