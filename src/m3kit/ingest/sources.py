"""
Documents from files, folders, URLs and standard input, read as a stream.

    for item in read_sources(["docs"]):
        if isinstance(item, Reject):
            print(item)
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from m3kit.ingest.documents import Item, Reject, SourceDocument, SourceError
from m3kit.ingest.files import SourceFile, SourcePath, Sources, find_sources
from m3kit.ingest.formats import Format, ReadOptions, Split
from m3kit.ingest.readers import SEEKING, Reader, load_reader
from m3kit.ingest.streams import opened
from m3kit.ingest.texts import NotTextError

_log = logging.getLogger(__name__)


def read_sources(
    paths: Iterable[SourcePath] | Sources,
    *,
    format: Format | str | None = None,  # noqa: A002  # the option's name
    text_fields: Iterable[str] = ("text",),
    id_field: str | None = None,
    split: Split | str | None = None,
    prefix: str = "",
    storage_options: Mapping[str, Any] | None = None,
    on_bytes: Callable[[int], object] = lambda _: None,
) -> Iterator[SourceDocument | Reject]:
    """
    Read all documents of files and folders, in order.

    What is wrong with a document or a file is a `Reject` among the documents, and the others
    follow. Sources are resolved at once, and so are the readers that they need; what folders have
    besides is one warning, and so is a file without documents.

    Args:
        paths: Files, folders, URLs, `-` for standard input; or what `find_sources` returned.
        format: The format of every file given itself; see `find_sources`.
        text_fields: The fields of a record that have its text; see `ReadOptions`.
        id_field: The field of a record that has its id; see `ReadOptions`.
        split: The documents of a text; see `ReadOptions`.
        prefix: Stands before the ids of documents that have none of their own; see `find_sources`.
        storage_options: Of fsspec's file system for URLs; see `find_sources`.
        on_bytes: Called with the number of bytes just read.

    Raises:
        SourceError: If a source is missing, its format unknown, or a reader not installed.
    """
    if isinstance(paths, str | Path):
        raise TypeError(f"give a list of paths, such as [{str(paths)!r}], not a single one")
    sources = (
        paths
        if isinstance(paths, Sources)
        else find_sources(paths, format=format, prefix=prefix, storage_options=storage_options)
    )
    options = ReadOptions(
        text_fields=tuple(text_fields),
        id_field=id_field,
        split=None if split is None else Split(split),
    )
    readers = {file.format: load_reader(file.format) for file in sources.files}
    if summary := sources.summary():
        _log.warning("%s", summary)
    return _read_all(sources.files, readers, options, on_bytes)


def strict(items: Iterable[Item]) -> Iterator[SourceDocument]:
    """
    Yield documents up to the first that is rejected.

    Raises:
        SourceError: At the first reject, naming file, line and reason.
    """
    for item in items:
        if isinstance(item, Reject):
            raise SourceError(str(item))
        yield item


def _read_all(
    files: Iterable[SourceFile],
    readers: dict[Format, Reader],
    options: ReadOptions,
    on_bytes: Callable[[int], object],
) -> Iterator[Item]:
    for file in files:
        empty = True
        for item in _read_file(file, readers[file.format], options, on_bytes):
            empty = False
            yield item
        if empty:
            _log.warning("%s holds no document", file.location)


def _read_file(
    file: SourceFile, read: Reader, options: ReadOptions, on_bytes: Callable[[int], object]
) -> Iterator[Item]:
    try:
        with opened(file, on_bytes, seek=file.format in SEEKING) as stream:
            for item in read(stream, file.name, options):
                is_document = isinstance(item, SourceDocument)
                yield replace(item, location=file.place) if is_document else item
    except NotTextError as error:
        yield Reject(file.name, None, str(error))
    except OSError as error:
        yield Reject(file.name, None, error.strerror or str(error))
