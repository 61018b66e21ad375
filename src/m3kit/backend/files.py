"""Reading a checkpoint's files; nothing in them is executed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from m3kit.index import M3Error

_T = TypeVar("_T", dict[str, Any], list[Any])

_IMPOSTORS = {
    b"version https://git-lfs": "a Git LFS pointer",
    b"<!doctype": "a web page",
    b"<html": "a web page",
    b"<?xml": "a server's error",
}


class CheckpointError(M3Error, ValueError):
    """A checkpoint that is missing, or that this encoder cannot read."""


def read_json(path: Path, kind: type[_T], *, optional: bool = False) -> _T:
    """
    Read a JSON file that holds a `kind`; an empty one where there is no file and none is needed.

    Raises:
        CheckpointError: If it is missing, broken, or holds something else.
    """
    if optional and not path.is_file():
        return kind()
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"cannot read {path}: {error}") from error
    return expect(content, kind, str(path))


def expect(content: Any, kind: type[_T], what: str) -> _T:
    """
    Return what a JSON file holds, if it is of the kind that belongs there.

    Raises:
        CheckpointError: If it is of another.
    """
    if isinstance(content, kind):
        return content
    names: dict[type, str] = {dict: "an object", list: "a list"}
    raise CheckpointError(
        f"{what} holds {names.get(type(content), repr(content)[:40])} where {names[kind]} belongs; "
        "download it again"
    )


def samples(path: Path, count: int = 64, length: int = 4096) -> Iterator[bytes]:
    """Yield a file's size and `count` evenly spaced pieces of it, at little cost for any size."""
    size = path.stat().st_size
    yield str(size).encode()
    with path.open("rb") as file:
        for number in range(count):
            file.seek(number * max(0, size - length) // max(1, count - 1))
            yield file.read(length)


def check_start(path: Path) -> None:
    """
    Look at how a file of weights begins.

    Raises:
        CheckpointError: If something else lies in its place, as after a download that failed.
    """
    try:
        with path.open("rb") as file:
            start = file.read(64).lstrip().lower()
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error}") from error
    for sign, what in _IMPOSTORS.items():
        if start.startswith(sign):
            raise CheckpointError(f"{path} is {what} in place of the weights; download it again")
