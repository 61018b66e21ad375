"""Files at URLs, by fsspec: s3://, gs://, https://, hf://, memory:// and what else it knows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from functools import partial
from pathlib import PurePosixPath
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from fsspec.core import url_to_fs
from fsspec.spec import AbstractFileSystem

from m3kit.ingest.documents import SourceError
from m3kit.ingest.files import Skipped, SourceFile, format_or_error, reason_to_skip
from m3kit.ingest.formats import SUFFIXES, Format, format_of
from m3kit.ingest.streams import as_os_error

_USER = re.compile(r"(?<=:)//[^/@\s]+@")
_QUERY = re.compile(r"(://[^\s?#]*)[?#][^\s'\")]*")


def resolve_url(
    url: str, format_: Format | None, options: Mapping[str, Any]
) -> Iterator[SourceFile | Skipped]:
    """
    Resolve a URL: a file, or all files below a folder. A page of HTTP is a file.

    Args:
        url: What fsspec takes.
        format_: The format of a file; by default that of its suffix.
        options: Of the file system, such as credentials.

    Raises:
        SourceError: If there is nothing, the file system is not installed, or it refuses.
    """
    shown = without_secrets(url)
    try:
        files, path = url_to_fs(url, **options)
        folder = urlsplit(url).scheme not in {"http", "https"} and files.isdir(path)
        infos = files.find(path, detail=True) if folder else {path: files.info(path)}
    except ImportError as error:
        raise SourceError(f"{shown}: {error}") from error
    except Exception as error:  # every file system raises errors of its own
        raise SourceError(f"{shown}{_reason(error)}") from error
    if folder:
        yield from _in_folder(files, path, shown, infos)
    else:
        name = PurePosixPath(urlsplit(url).path).name or "index.html"
        chosen = format_or_error(name, format_, shown)
        opens = partial(_opened, files, path)
        yield SourceFile(name, chosen, shown, opens, infos[path].get("size"), shown)


def _reason(error: Exception) -> str:
    cause = error.__cause__ if isinstance(error, FileNotFoundError) else error
    if cause is None or isinstance(cause, FileNotFoundError):
        return ": there is no such file"
    reason = without_secrets(" ".join(str(cause).split())) or type(cause).__name__
    return f" cannot be read: {reason}"


def without_secrets(text: str) -> str:
    """Return a URL, or a text with URLs, without users, passwords and queries in them."""
    return _QUERY.sub(r"\1", _USER.sub("//", text))


def _in_folder(
    files: AbstractFileSystem, folder: str, shown: str, infos: Mapping[str, Mapping[str, Any]]
) -> Iterator[SourceFile | Skipped]:
    if not any(format_of(path) for path in infos):
        raise SourceError(f"{shown}: no file in this folder ends with {', '.join(SUFFIXES)}")
    for path, info in sorted(infos.items()):
        name = path.removeprefix(folder).lstrip("/")
        location = f"{shown.rstrip('/')}/{name}"
        if reason := reason_to_skip(name):
            yield Skipped(location, reason)
        else:
            format_ = format_or_error(name, None, location)
            opens = partial(_opened, files, path)
            yield SourceFile(name, format_, location, opens, info.get("size"), location)


def _opened(files: AbstractFileSystem, path: str) -> AbstractContextManager[BinaryIO]:
    with as_os_error():
        stream: AbstractContextManager[BinaryIO] = files.open(path, "rb")
        return stream
