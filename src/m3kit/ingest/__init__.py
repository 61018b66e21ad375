"""
Sources into an index, which follows them: readers, the ledger, and what keeps the two together.

    from m3kit.ingest import Ledger, read_sources, sync

    with open_index("docs.index", encoder=encoder) as index, Ledger.beside(index) as ledger:
        print(sync(encoder, index, read_sources(["docs"]), ledger=ledger, prune=True))

Needs `pip install 'm3kit[ingest]'`. The guides are `docs/operate.md`, and `docs/sources.md` for
what is read; `m3kit.ingest.chunking` splits long documents.

The names are looked up when they are first used, so that a command that reads a file does not wait
for what writes an index.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from m3kit.ingest.convert import from_langchain, from_llama_index, from_rows
    from m3kit.ingest.database import LedgerError
    from m3kit.ingest.documents import Reject, SourceDocument, SourceError
    from m3kit.ingest.files import Skipped, SourceFile, Sources, find_sources
    from m3kit.ingest.formats import Format, Split
    from m3kit.ingest.ledger import Ledger, ledger_path
    from m3kit.ingest.pruning import delete
    from m3kit.ingest.rejects import RejectsFile
    from m3kit.ingest.retries import Retries
    from m3kit.ingest.signals import Stopped, stop_signals
    from m3kit.ingest.sources import read_sources, strict
    from m3kit.ingest.summary import Summary
    from m3kit.ingest.syncing import sync
    from m3kit.ingest.verifying import Difference, Verification, verify

__all__ = [
    "Difference",
    "Format",
    "Ledger",
    "LedgerError",
    "Reject",
    "RejectsFile",
    "Retries",
    "Skipped",
    "SourceDocument",
    "SourceError",
    "SourceFile",
    "Sources",
    "Split",
    "Stopped",
    "Summary",
    "Verification",
    "delete",
    "find_sources",
    "from_langchain",
    "from_llama_index",
    "from_rows",
    "ledger_path",
    "read_sources",
    "stop_signals",
    "strict",
    "sync",
    "verify",
]

_MODULES = {
    "Difference": "verifying",
    "Format": "formats",
    "Ledger": "ledger",
    "LedgerError": "database",
    "Reject": "documents",
    "RejectsFile": "rejects",
    "Retries": "retries",
    "Skipped": "files",
    "SourceDocument": "documents",
    "SourceError": "documents",
    "SourceFile": "files",
    "Sources": "files",
    "Split": "formats",
    "Stopped": "signals",
    "Summary": "summary",
    "Verification": "verifying",
    "delete": "pruning",
    "find_sources": "files",
    "from_langchain": "convert",
    "from_llama_index": "convert",
    "from_rows": "convert",
    "ledger_path": "ledger",
    "read_sources": "sources",
    "stop_signals": "signals",
    "strict": "sources",
    "sync": "syncing",
    "verify": "verifying",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
