"""Two files that have the same path below their sources, of which one would replace the other."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from m3kit.ingest.documents import SourceDocument, SourceError
from m3kit.ingest.fingerprints import is_positional
from m3kit.ingest.ledger import Ledger
from m3kit.records import Document


class Places:
    """
    Where the files are whose documents are called by their place in them, as a ledger knows it.

    Documents that brought their ids do not matter: they are the same in whatever file.

    Args:
        ledger: The ledger.
        moved: Whether files take the place of others that are still there.
    """

    def __init__(self, ledger: Ledger, *, moved: bool) -> None:
        self._ledger = ledger
        self._moved = moved
        self._checked: set[str] = set()

    def check(self, documents: Iterable[Document]) -> dict[str, str]:
        """
        Return the files of documents that the ledger does not know, or knows elsewhere.

        Raises:
            SourceError: If another file, which is still there, has documents of the same ids.
        """
        new: dict[str, str] = {}
        for document in documents:
            if not isinstance(document, SourceDocument) or not document.location:
                continue
            if document.source not in self._checked and is_positional(document.id, document.source):
                self._checked.add(document.source)
                new[document.source] = document.location
        if not new:
            return {}
        known = self._ledger.locations(new)
        for source, location in new.items():
            if not self._moved and _are_two(known.get(source, location), location):
                self._refuse(source, known[source], location)
        return dict(new.items() - known.items())

    def _refuse(self, source: str, known: str, location: str) -> None:
        if self._ledger.holds_places_of(source):
            raise SourceError(
                f"{location} would replace what was indexed from {known}, since both are "
                f"{source!r} below what was given; index it with a prefix (--prefix), or, if it "
                "takes the other's place, say that it has moved (--moved)"
            )


def _are_two(known: str, location: str) -> bool:
    """Tell whether there are two files, as far as can be told: of URLs, if they differ."""
    if known == location:
        return False
    before = Path(known)
    if not before.is_absolute():
        return True
    try:
        return not before.samefile(location)
    except OSError:  # one of them is no longer there, or is a URL
        return before.exists()
