"""Documents from files, folders and standard input; needs the extra `ingest` for some formats."""

from __future__ import annotations

from m3kit.ingest.documents import Reject, SourceDocument, SourceError
from m3kit.ingest.files import Skipped, SourceFile, Sources, find_sources
from m3kit.ingest.formats import Format, Split
from m3kit.ingest.sources import read_sources, strict

__all__ = [
    "Format",
    "Reject",
    "Skipped",
    "SourceDocument",
    "SourceError",
    "SourceFile",
    "Sources",
    "Split",
    "find_sources",
    "read_sources",
    "strict",
]
