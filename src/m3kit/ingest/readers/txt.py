"""Plain text: a document per paragraph, line or file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from io import BufferedReader
from itertools import chain

from m3kit.ingest.documents import Item
from m3kit.ingest.fields import checked
from m3kit.ingest.formats import ReadOptions, Split
from m3kit.ingest.texts import Line, lines_of, undecoded_line


def read(stream: BufferedReader, name: str, options: ReadOptions) -> Iterator[Item]:
    """Read paragraphs, which blank lines separate, or lines, or the file as a whole."""
    if reject := undecoded_line(name, lines_of(stream)):
        yield reject
        return
    stream.seek(0)
    for number, part in enumerate(_parts(lines_of(stream), options.split), start=1):
        id_ = name if options.split is Split.file else f"{name}#{number}"
        text = "".join(line for _, line in part).strip()
        yield checked(id_, text, {"source": name}, source=name, line=part[0][0])


def _parts(lines: Iterator[Line], split: Split | None) -> Iterator[list[Line]]:
    match split:
        case Split.lines:
            return ([line] for line in lines if line[1].strip())
        case Split.file:
            return (whole for whole in [list(lines)] if any(line.strip() for _, line in whole))
        case Split.paragraphs | None:
            return _paragraphs(lines)


def _paragraphs(lines: Iterable[Line]) -> Iterator[list[Line]]:
    """Group lines into paragraphs, which blank lines separate."""
    part: list[Line] = []
    for line in chain(lines, [(0, "")]):
        if line[1].strip():
            part.append(line)
        elif part:
            yield part
            part = []
