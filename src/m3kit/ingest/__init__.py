"""
Documents from files, folders, URLs and standard input; some formats need the extra `ingest`.

`m3kit.ingest.chunking` splits long ones.
"""

from __future__ import annotations

from m3kit.ingest.convert import from_langchain, from_llama_index, from_rows
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
    "from_langchain",
    "from_llama_index",
    "from_rows",
    "read_sources",
    "strict",
]
