"""Files, folders, URLs and standard input, resolved to named files and what is left out."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from os import PathLike
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, TypeAlias

from m3kit.ingest.documents import SourceError
from m3kit.ingest.formats import SUFFIXES, Format, format_of

SourcePath: TypeAlias = str | PathLike[str]
"""A file, a folder, a URL of either, or `-` for standard input."""

_EXAMPLES = 3

_INDEX_FILES = (("m3kit.json",), ("LOCK", "collections"))
"""What is in the folder of an index: m3kit's, Milvus Lite's."""

_REJECTS = ".rejects.jsonl"
"""The end of the name of a file of rejects, which lies beside an index."""


@dataclass(frozen=True, slots=True)
class SourceFile:
    """
    A file that holds documents.

    Args:
        name: Its path below the source as given, with slashes; of a file given itself, its name.
        format: Its format.
        location: Where it is, for messages.
        place: Where it is, whatever the working directory: an absolute path, or a URL.
        open: Opens it for reading.
        size: The number of bytes, if it is known in advance.
    """

    name: str
    format: Format
    location: str
    open: Callable[[], AbstractContextManager[BinaryIO]]
    size: int | None = None
    place: str = ""


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


def find_sources(
    paths: Iterable[SourcePath],
    *,
    format: Format | str | None = None,  # noqa: A002  # the option's name
    prefix: str = "",
    storage_options: Mapping[str, Any] | None = None,
) -> Sources:
    """
    Resolve paths: files, folders with all that is in them, URLs, and `-` for standard input.

    In folders, files are read in the order of their paths. Left out, counted and named are those
    of an unknown suffix, links to folders, indexes, and what has a name that begins with a dot.

    Args:
        paths: Files, folders, URLs of either, and `-`.
        format: The format of every file given itself, and of standard input; by default that of
            the suffix, and JSONL for standard input.
        prefix: Stands before the names of files, and so before their documents' ids: `v2` makes
            `v2/guide.md#1` of `guide.md#1`.
        storage_options: Of fsspec's file system for the URLs, such as credentials.

    Raises:
        SourceError: If a path does not exist or its format is unknown, a folder has no file of a
            known format, or two files have the same path below what was given.
    """
    chosen = None if format is None else _checked(format)
    files: dict[str, SourceFile] = {}
    skipped: list[Skipped] = []
    for path in paths:
        for entry in _resolve(path, chosen, storage_options or {}):
            if isinstance(entry, Skipped):
                skipped.append(entry)
                continue
            named = replace(entry, name=f"{prefix}/{entry.name}" if prefix else entry.name)
            other = files.setdefault(named.name, named)
            if os.path.realpath(other.location) != os.path.realpath(entry.location):
                raise SourceError(
                    f"{other.location} and {entry.location} are both {entry.name!r} below what was "
                    "given, and their documents would have the same ids; give the folder that has "
                    "both in it, or index one of them with a prefix (--prefix)"
                )
    return Sources(tuple(files.values()), tuple(skipped))


def format_or_error(name: str, format_: Format | None, location: str) -> Format:
    """
    Return the format that is given, or else that of the suffix.

    Raises:
        SourceError: If neither is known.
    """
    known = format_ or format_of(name)
    if known is None:
        raise SourceError(
            f"{location}: the format is unknown, since the suffix is none of "
            f"{', '.join(SUFFIXES)}; give it with --format {'|'.join(Format)}"
        )
    return known


def reason_to_skip(name: str) -> str | None:
    """Say why a file of a folder is left out, by its path in it; None if it is read."""
    path = PurePosixPath(name)
    if any(part.startswith(".") for part in path.parts):
        return "hidden"
    if path.name.endswith(_REJECTS):
        return "rejects"
    if format_of(name):
        return None
    return path.suffix or "without suffix"


def _checked(name: str) -> Format:
    try:
        return Format(name)
    except ValueError:
        raise SourceError(f"{name!r} is no format; write one of {', '.join(Format)}") from None


def _resolve(
    given: SourcePath, format_: Format | None, storage_options: Mapping[str, Any]
) -> Iterator[SourceFile | Skipped]:
    path = Path(given)
    if given == "-":
        yield SourceFile("stdin", format_ or Format.jsonl, "stdin", _stdin)
    elif isinstance(given, str) and "://" in given:
        yield from _at_url(given, format_, storage_options)
    elif path.is_dir():
        yield from _in_folder(path)
    elif path.exists():
        yield _file(path, path.name, format_or_error(path.name, format_, str(path)))
    else:
        raise SourceError(f"{path}: there is no such file")


def _at_url(
    url: str, format_: Format | None, storage_options: Mapping[str, Any]
) -> Iterator[SourceFile | Skipped]:
    try:
        from m3kit.ingest.urls import resolve_url
    except ModuleNotFoundError as error:
        raise SourceError(f"URLs need {error.name}: pip install 'm3kit[ingest]'") from error
    return resolve_url(url, format_, storage_options)


def _stdin() -> AbstractContextManager[BinaryIO]:
    return nullcontext(sys.stdin.buffer)  # which stays open


def _file(path: Path, name: str, format_: Format) -> SourceFile:
    place = path.absolute()
    size = place.stat().st_size if place.is_file() else None
    printable = os.fsencode(name).decode("utf-8", "backslashreplace")
    return SourceFile(printable, format_, str(path), lambda: place.open("rb"), size, str(place))


def _in_folder(folder: Path) -> Iterator[SourceFile | Skipped]:
    entries = sorted(_walk(folder), key=lambda entry: entry[0])
    if not any(reason is None for _, reason in entries):
        raise SourceError(f"{folder}: no file in this folder ends with {', '.join(SUFFIXES)}")
    for path, reason in entries:
        name = path.relative_to(folder).as_posix()
        if isinstance(reason, OSError):
            yield SourceFile(f"{name}/", Format.txt, str(path), partial(_raise, reason))
        elif reason:
            yield Skipped(str(path), reason)
        else:
            yield _file(path, name, format_or_error(name, None, str(path)))


def _walk(folder: Path) -> Iterator[tuple[Path, str | OSError | None]]:
    """Yield what is in a folder, at any depth, with the reason why it is left out, if it is."""
    unreadable: list[OSError] = []
    for parent, folders, names in os.walk(folder, onerror=unreadable.append):
        for name in list(folders):
            if reason := _folder_to_skip(Path(parent, name)):
                folders.remove(name)
                yield Path(parent, name), reason
        for name in names:
            path = Path(parent, name)
            yield path, reason_to_skip(name) or _irregular(path)
    for error in unreadable:
        yield Path(error.filename), error


def _folder_to_skip(folder: Path) -> str | None:
    if folder.name.startswith("."):
        return "hidden"
    if folder.is_symlink():
        return "linked folders"
    is_index = any(all((folder / name).exists() for name in names) for names in _INDEX_FILES)
    return "indexes" if is_index else None


def _irregular(path: Path) -> str | None:
    if path.is_file():
        return None
    return "special" if path.exists() else "broken links"


def _raise(error: OSError) -> AbstractContextManager[BinaryIO]:
    raise error
