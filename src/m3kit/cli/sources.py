"""Files and stdin as numbered lines of text, read as a stream."""

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
    """The format of a file."""

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
"""A line's number, from 1, and its text with the line ending."""


@dataclass(frozen=True, slots=True)
class Source:
    """
    A file, or stdin, that holds documents.

    Args:
        name: Its name in ids and errors: relative to the working directory, with slashes.
        format: Its format.
        path: The file; None is stdin.
    """

    name: str
    format: Format
    path: Path | None

    @property
    def size(self) -> int | None:
        """The number of bytes, if it is known in advance."""
        return self.path.stat().st_size if self.path and self.path.is_file() else None

    def lines(self, on_bytes: Callable[[int], object]) -> Iterator[Line]:
        """
        Yield the lines; `on_bytes` is called with the number of bytes of each.

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


def find_sources(files: Sequence[str], format_: Format | None = None) -> list[Source]:
    """
    Resolve FILE arguments: files, folders (all files in them, sorted), and `-` for stdin.

    Args:
        files: The arguments.
        format_: The format of every file; by default that of its suffix, and JSONL for stdin.

    Raises:
        InputError: If a file does not exist or has no known format, or a folder has no such file.
    """
    sources: list[Source] = []
    for file in files:
        path = Path(file)
        if file == "-":
            sources.append(Source("stdin", format_ or Format.jsonl, None))
        elif path.is_dir():
            sources += _in_folder(path, format_)
        else:
            sources.append(_source(path, format_))
    return sources


def _source(path: Path, format_: Format | None) -> Source:
    format_ = format_ or _FORMATS.get(path.suffix.lower())
    if format_ is None:
        raise InputError(
            f"{path}: the format is unknown, since the suffix is none of {', '.join(_FORMATS)}; "
            f"give it with --format {'|'.join(Format)}"
        )
    if not path.exists():
        raise InputError(f"{path}: there is no such file")
    return Source(_name(path), format_, path)


def _in_folder(folder: Path, format_: Format | None) -> list[Source]:
    """Return the files in a folder, at any depth, except hidden ones and other formats."""
    files: list[Path] = []
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        paths = [Path(parent, name) for name in names if not name.startswith(".")]
        files += [path for path in paths if path.suffix.lower() in _FORMATS]
    if not files:
        raise InputError(f"{folder}: no file in this folder ends with {', '.join(_FORMATS)}")
    return [_source(path, format_) for path in sorted(files)]


def _name(path: Path) -> str:
    directory = Path.cwd()
    resolved = Path(os.path.normpath(path.absolute()))
    is_inside = resolved.is_relative_to(directory)
    return (resolved.relative_to(directory) if is_inside else resolved).as_posix()
