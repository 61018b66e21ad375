"""Files, folders, URLs and standard input, resolved to named files and what is left out."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import BinaryIO, TypeAlias

from m3kit.ingest.documents import SourceError
from m3kit.ingest.formats import SUFFIXES, Format, format_of

SourcePath: TypeAlias = str | PathLike[str]
"""A file, a folder, or `-` for standard input."""

_EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class SourceFile:
    """
    A file that holds documents.

    Args:
        name: Its path below the source as given, with slashes; of a file given itself, its name.
        format: Its format.
        location: Where it is, for messages.
        open: Opens it for reading.
        size: The number of bytes, if it is known in advance.
    """

    name: str
    format: Format
    location: str
    open: Callable[[], AbstractContextManager[BinaryIO]]
    size: int | None = None


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file or folder in a folder that is not read, with the reason, such as `.png`."""

    location: str
    reason: str


@dataclass(frozen=True, slots=True)
class Sources:
    """
    What paths stand for.

    Args:
        files: In order, without repetition.
        skipped: What is in the folders besides.
    """

    files: tuple[SourceFile, ...]
    skipped: tuple[Skipped, ...]

    def summary(self) -> str:
        """Say in one line how much is skipped, and what; empty if nothing is."""
        if not self.skipped:
            return ""
        counts = Counter(skipped.reason for skipped in self.skipped)
        kinds = ", ".join(f"{count} {reason}" for reason, count in counts.most_common())
        examples = ", ".join(skipped.location for skipped in self.skipped[:_EXAMPLES])
        more = ", …" if len(self.skipped) > _EXAMPLES else ""
        return f"skipped {len(self.skipped)} in folders ({kinds}): {examples}{more}"


def find_sources(paths: Iterable[SourcePath], *, format: Format | str | None = None) -> Sources:  # noqa: A002  # the option's name
    """
    Resolve paths: files, folders with all that is in them, and `-` for standard input.

    In folders, files are read in the order of their paths. Left out, counted and named are those
    of an unknown suffix, links to folders, and whatever has a name that begins with a dot.

    Args:
        paths: Files, folders and `-`.
        format: The format of every file given itself, and of standard input; by default that of
            the suffix, and JSONL for standard input.

    Raises:
        SourceError: If a path does not exist or its format is unknown, a folder has no file of a
            known format, or two files have the same path below what was given.
    """
    chosen = None if format is None else _checked(format)
    files: dict[str, SourceFile] = {}
    skipped: list[Skipped] = []
    for path in paths:
        for entry in _resolve(path, chosen):
            if isinstance(entry, Skipped):
                skipped.append(entry)
                continue
            other = files.setdefault(entry.name, entry)
            if other.location != entry.location:
                raise SourceError(
                    f"{other.location} and {entry.location} are both {entry.name!r} below what was "
                    "given, and their documents would have the same ids; give the folder that has "
                    "both in it, or index one after the other"
                )
    return Sources(tuple(files.values()), tuple(skipped))


def _checked(name: str) -> Format:
    try:
        return Format(name)
    except ValueError:
        raise SourceError(f"{name!r} is no format; write one of {', '.join(Format)}") from None


def _resolve(given: SourcePath, format_: Format | None) -> Iterator[SourceFile | Skipped]:
    path = Path(given)
    if given == "-":
        yield SourceFile("stdin", format_ or Format.jsonl, "stdin", _stdin)
    elif path.is_dir():
        yield from _in_folder(path)
    else:
        yield _file(path, path.name, _format(path, format_))


def _stdin() -> AbstractContextManager[BinaryIO]:
    return nullcontext(sys.stdin.buffer)  # which stays open


def _file(path: Path, name: str, format_: Format) -> SourceFile:
    resolved = path.resolve()
    size = resolved.stat().st_size if resolved.is_file() else None
    return SourceFile(name, format_, str(path), lambda: resolved.open("rb"), size)


def _format(path: Path, format_: Format | None) -> Format:
    known = format_ or format_of(path.name)
    if known is None:
        raise SourceError(
            f"{path}: the format is unknown, since the suffix is none of {', '.join(SUFFIXES)}; "
            f"give it with --format {'|'.join(Format)}"
        )
    if not path.exists():
        raise SourceError(f"{path}: there is no such file")
    return known


def _in_folder(folder: Path) -> Iterator[SourceFile | Skipped]:
    entries = sorted(_walk(folder))
    if not any(reason is None for _, reason in entries):
        raise SourceError(f"{folder}: no file in this folder ends with {', '.join(SUFFIXES)}")
    for path, reason in entries:
        if reason is None:
            yield _file(path, path.relative_to(folder).as_posix(), _format(path, None))
        else:
            yield Skipped(str(path), reason)


def _walk(folder: Path) -> Iterator[tuple[Path, str | None]]:
    """Yield what is in a folder, at any depth, with the reason why it is left out, if it is."""
    for parent, folders, names in os.walk(folder):
        for name in list(folders):
            path = Path(parent, name)
            if reason := "hidden" if name.startswith(".") else _link(path):
                folders.remove(name)
                yield path, reason
        for name in names:
            yield Path(parent, name), _reason(name)


def _link(path: Path) -> str | None:
    return "links to folders" if path.is_symlink() else None


def _reason(name: str) -> str | None:
    if name.startswith("."):
        return "hidden"
    if format_of(name):
        return None
    return Path(name).suffix or "without suffix"
