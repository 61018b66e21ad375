"""Deleting documents from an index and its ledger."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from m3kit._batching import batched
from m3kit.filters import Filter
from m3kit.index import HybridIndex
from m3kit.ingest.fingerprints import Fingerprint, is_positional
from m3kit.ingest.ledger import Ledger
from m3kit.ingest.retries import Retries

_PAGE = 500


def delete(
    index: HybridIndex,
    ids: Iterable[str] = (),
    *,
    where: Filter | None = None,
    ledger: Ledger | None = None,
    retries: Retries | None = None,
) -> int:
    """
    Delete documents from an index and its ledger; unknown ids are no error.

    A later run writes those again that are still in their source.

    Args:
        index: The index.
        ids: The documents.
        where: Deletes matching documents besides.
        ledger: The ledger of the index, where it has one.
        retries: How errors of a store that may pass are met.

    Returns:
        How many documents were in the index and no longer are.
    """
    retries = Retries() if retries is None else retries
    wanted = list(dict.fromkeys(ids))
    if where is not None:
        matching = retries.call(index, lambda: [record.document.id for record in index.scan(where)])
        wanted = list(dict.fromkeys([*wanted, *matching]))
    present = 0
    for page in batched(wanted, _PAGE):
        present += len(retries.call(index, index.get, page))
        _delete(index, page, ledger, retries)
    return present


def prune_unseen(
    index: HybridIndex,
    ledger: Ledger,
    retries: Retries,
    *,
    unread: Collection[str],
    everything: bool,
) -> int:
    """
    Delete what a run has not seen.

    Args:
        index: The index.
        ledger: Its ledger, with a run that is at its end.
        retries: Calls the index.
        unread: Sources of which something was rejected; their documents stay.
        everything: Whether to delete all of them; else only documents that were at a place in a
            source of which the run has seen something.

    Returns:
        How many were deleted.
    """
    deleted = 0
    for page in batched(_vanished(ledger, unread, everything=everything), _PAGE):
        _delete(index, [item.id for item in page], ledger, retries)
        deleted += len(page)
    return deleted


def _vanished(
    ledger: Ledger, unread: Collection[str], *, everything: bool
) -> Iterator[Fingerprint]:
    for item, source_seen in ledger.unseen():
        if item.source in unread:
            continue
        if everything or (source_seen and is_positional(item.id, item.source)):
            yield item


def _delete(index: HybridIndex, ids: list[str], ledger: Ledger | None, retries: Retries) -> None:
    """Delete in an order in which a kill leaves nothing behind that the ledger does not know."""
    if ledger is not None:
        ledger.forget(ids)
    retries.call(index, index.delete, ids)
    retries.call(index, index.flush)
    if ledger is not None:
        ledger.remove(ids)
