"""Streams over files, pipes and URLs, which report how far they are read."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from tempfile import SpooledTemporaryFile
from typing import Any, BinaryIO, cast

from m3kit.ingest.files import SourceFile

_MEMORY = 16 * 2**20
"""Bytes of a stream that cannot seek which stay in memory; more are in a temporary file."""

_FIRST = 8
"""Bytes that the first read waits for, which tell what kind of file it is."""


@contextmanager
def opened(
    file: SourceFile, on_bytes: Callable[[int], object], *, seek: bool
) -> Iterator[io.BufferedReader]:
    """
    Open a file.

    Args:
        file: What to open.
        on_bytes: Called with numbers of bytes just read, which add up to the file's size.
        seek: Whether the reader seeks; what cannot, such as a pipe, is then copied to a temporary
            file first.
    """
    with file.open() as stream:
        if seek and not stream.seekable():
            with SpooledTemporaryFile(max_size=_MEMORY) as copy:
                shutil.copyfileobj(stream, copy)
                copy.seek(0)
                yield from _reported(cast("BinaryIO", copy), on_bytes)
        else:
            yield from _reported(stream, on_bytes)


def _reported(stream: BinaryIO, on_bytes: Callable[[int], object]) -> Iterator[io.BufferedReader]:
    progress = _Progress(stream, on_bytes)
    yield io.BufferedReader(progress, buffer_size=2**16)
    progress.finish()


class _Progress(io.RawIOBase):
    """Reports the furthest position that was read to; closing it leaves the stream open."""

    def __init__(self, stream: BinaryIO, on_bytes: Callable[[int], object]) -> None:
        self._stream = stream
        self._on_bytes = on_bytes
        self._position = 0
        self._furthest = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self._stream.seekable()

    def readinto(self, buffer: Any, /) -> int:
        data = self._read(len(buffer))
        while self._position == 0 and 0 < len(data) < _FIRST and (more := self._read(1)):
            data += more
        buffer[: len(data)] = data
        self._moved(self._position + len(data))
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._position = self._stream.seek(offset, whence)
        return self._position

    def tell(self) -> int:
        return self._position

    def finish(self) -> None:
        """Report what a reader did not need."""
        if self.seekable():
            self._moved(self.seek(0, io.SEEK_END))

    def _read(self, size: int) -> bytes:
        read = getattr(self._stream, "read1", self._stream.read)  # a pipe's data as it comes
        return bytes(read(size))

    def _moved(self, position: int) -> None:
        self._position = position
        if position > self._furthest:
            self._on_bytes(position - self._furthest)
            self._furthest = position
