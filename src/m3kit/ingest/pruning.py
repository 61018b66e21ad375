"""Deleting documents from an index and its ledger."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import chain

from m3kit._batching import batched
from m3kit.filters import Filter
from m3kit.index import HybridIndex
from m3kit.ingest.fingerprints import Fingerprint, is_positional, is_split, relatives
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
            source of which the run has seen something, and passages of documents that it has seen.

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
    for page in batched(ledger.unseen(), _PAGE):
        items = [(item, source_seen) for item, source_seen in page if item.source not in unread]
        places = {item.id for item, _ in items if is_positional(item.id, item.source)}
        places |= _old_passages(ledger, [item.id for item, _ in items if item.id not in places])
        for item, source_seen in items:
            if everything or (source_seen and item.id in places):
                yield item


def _old_passages(ledger: Ledger, ids: Sequence[str]) -> set[str]:
    """Return those that were passages of documents that the run has seen, or these as a whole."""
    names = {id_: relatives(id_) for id_ in ids}
    known = ledger.get([*ids, *chain.from_iterable(names.values())])
    return {
        id_
        for id_ in ids
        for relative in (known.get(name) for name in names[id_])
        if relative and relative.seen and (is_split(relative.recipe) or is_split(known[id_].recipe))
    }


def _delete(index: HybridIndex, ids: list[str], ledger: Ledger | None, retries: Retries) -> None:
    """Delete in an order in which a kill leaves nothing behind that the ledger does not know."""
    if ledger is not None:
        ledger.forget(ids)
    retries.call(index, index.delete, ids)
    retries.call(index, index.flush)
    if ledger is not None:
        ledger.remove(ids)
