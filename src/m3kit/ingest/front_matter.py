"""The metadata at the top of a Markdown file: YAML between `---`, TOML between `+++`."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from m3kit.frameworks import to_json

_MARKS = {"---": ("---", "..."), "+++": ("+++",)}


class FrontMatterError(ValueError):
    """Front matter that cannot be read; the message says why, and what to do."""


class Matter(NamedTuple):
    """
    A Markdown file without its front matter.

    Args:
        metadata: What the front matter says, as JSON; empty without any.
        first_line: The number of the first line of the text, from 1.
        text: What follows the front matter.
    """

    metadata: Mapping[str, Any]
    first_line: int
    text: str


def without_front_matter(text: str) -> Matter:
    """
    Separate front matter from the text; what is no mapping between the marks is text.

    Raises:
        FrontMatterError: If it cannot be parsed.
    """
    lines = text.splitlines(keepends=True)
    mark = lines[0].rstrip() if lines else ""
    closing = _MARKS.get(mark, ())
    end = next((n for n, line in enumerate(lines) if n and line.rstrip() in closing), None)
    if end is None:
        return Matter({}, 1, text)
    values = (_toml if mark == "+++" else _yaml)("".join(lines[1:end]))
    if values is None:
        values = {}
    if not isinstance(values, Mapping):
        return Matter({}, 1, text)
    rest = "".join(lines[end + 1 :])
    return Matter(to_json(values), text[: len(text) - len(rest)].count("\n") + 1, rest)


def _toml(text: str) -> Any:
    return _parsed(tomllib.loads, text)


def _yaml(text: str) -> Any:
    try:
        from m3kit.ingest.safe_yaml import load
    except ModuleNotFoundError as error:
        raise FrontMatterError(
            f"front matter needs {error.name}: pip install 'm3kit[ingest]'"
        ) from error
    return _parsed(load, text)


def _parsed(parse: Callable[[str], Any], text: str) -> Any:
    try:
        return parse(text)
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise FrontMatterError(f"front matter that cannot be read: {reason}") from error
