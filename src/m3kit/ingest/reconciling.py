"""Comparing a ledger with its index where they may differ, before a run relies on it."""

from __future__ import annotations

from m3kit._batching import batched
from m3kit.index import HybridIndex
from m3kit.ingest.ledger import Ledger

_PAGE = 500


def reconcile(index: HybridIndex, ledger: Ledger) -> int:
    """
    Begin a run; where the last one did not end, or the index has changed since, read all its ids.

    Documents that the ledger takes for written and the index lacks, as a copy that was restored
    does, become pending. So do documents that the index has twice, which are deleted.

    Returns:
        How many documents were lost or doubled.
    """
    ended = ledger.start()
    if ended and (ledger.index_count or 0) == index.count():
        return 0
    lost, doubled = ledger.compare(record.document.id for record in index.scan())
    for page in batched(doubled, _PAGE):
        index.delete(page)
    if doubled:
        index.flush()
    return lost + len(doubled)
