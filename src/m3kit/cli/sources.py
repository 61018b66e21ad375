"""Files and stdin as numbered lines of text, read as they are needed."""

from __future__ import annotations

import codecs
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO, TypeAlias

from m3kit.cli.exit_codes import InputError


class Format(StrEnum):
    """What a file holds."""

    jsonl = "jsonl"
    csv = "csv"
    txt = "txt"
    md = "md"


_FORMATS = {
    ".jsonl": Format.jsonl,
    ".ndjson": Format.jsonl,
    ".csv": Format.csv,
    ".tsv": Format.csv,
    ".txt": Format.txt,
    ".md": Format.md,
    ".markdown": Format.md,
}

Line: TypeAlias = tuple[int, str]
"""A line's number, from 1, and its text with its end."""


@dataclass(frozen=True, slots=True)
class Source:
    """
    Where documents are read from.

    Args:
        name: As ids and errors say it: relative to the working directory, with slashes.
        format: What it holds.
        path: The file; None is stdin.
    """

    name: str
    format: Format
    path: Path | None

    @property
    def size(self) -> int | None:
        """The number of bytes, where it is known beforehand."""
        return self.path.stat().st_size if self.path and self.path.is_file() else None

    def lines(self, on_bytes: Callable[[int], object]) -> Iterator[Line]:
        """
        Yield the lines, telling `on_bytes` how much was read.

        Raises:
            InputError: If the file cannot be read, or a line is not UTF-8.
        """
        offset = 0
        try:
            with self._opened() as stream:
                for number, line in enumerate(stream, start=1):
                    yield number, self._decoded(line, number, offset)
                    offset += len(line)
                    on_bytes(len(line))
        except OSError as error:
            raise InputError(f"{self.name}: {error.strerror or error}") from error

    def _opened(self) -> AbstractContextManager[BinaryIO]:
        return self.path.open("rb") if self.path else nullcontext(sys.stdin.buffer)

    def _decoded(self, line: bytes, number: int, offset: int) -> str:
        try:
            return (line.removeprefix(codecs.BOM_UTF8) if number == 1 else line).decode()
        except UnicodeDecodeError as error:
            raise InputError(
                f"{self.name}:{number}: not UTF-8: {error.reason} at byte {offset + error.start} "
                "of the file; save it as UTF-8"
            ) from error


def sources(files: Sequence[str], format_: Format | None = None) -> list[Source]:
    """
    Find what FILE arguments mean: files, folders (all they hold, sorted) and `-` for stdin.

    Args:
        files: The arguments.
        format_: What every file holds; None goes by the suffix, and takes stdin for JSONL.

    Raises:
        InputError: If a file does not exist or is of no known format, or a folder holds none.
    """
    found: list[Source] = []
    for file in files:
        path = Path(file)
        if file == "-":
            found.append(Source("stdin", format_ or Format.jsonl, None))
        elif path.is_dir():
            found += _within(path, format_)
        else:
            found.append(_source(path, format_))
    return found


def _source(path: Path, format_: Format | None) -> Source:
    format_ = format_ or _FORMATS.get(path.suffix.lower())
    if format_ is None:
        raise InputError(
            f"{path}: the format of this file is not known by its suffix, as those of "
            f"{', '.join(_FORMATS)} are; say it with --format {'|'.join(Format)}"
        )
    if not path.exists():
        raise InputError(f"{path}: there is no such file")
    return Source(_name(path), format_, path)


def _within(folder: Path, format_: Format | None) -> list[Source]:
    """Return what a folder holds, at any depth, leaving out what is hidden or of other formats."""
    found: list[Path] = []
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        paths = [Path(parent, name) for name in names if not name.startswith(".")]
        found += [path for path in paths if path.suffix.lower() in _FORMATS]
    if not found:
        raise InputError(f"{folder}: this folder holds no file of {', '.join(_FORMATS)}")
    return [_source(path, format_) for path in sorted(found)]


def _name(path: Path) -> str:
    absolute, here = path.absolute(), Path.cwd()
    resolved = Path(os.path.normpath(absolute))
    return (resolved.relative_to(here) if resolved.is_relative_to(here) else resolved).as_posix()
