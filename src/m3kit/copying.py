"""
Moving an index to another store, with its vectors.

    with open_index("./papers") as source:
        with open_target(source, "qdrant://localhost:6333/papers") as target:
            print(copy_index(source, target))

A copy that was interrupted is completed by the same call: documents that the target has, as they
are in the source, are not written again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from os import PathLike
from typing import Protocol, runtime_checkable

from m3kit._batching import batched, chunked
from m3kit.adapters.manifest import manifest_of
from m3kit.copy_check import Comparison, compare
from m3kit.encoder import Encoder
from m3kit.filters import Filter
from m3kit.index import (
    HybridIndex,
    M3Error,
    OpenedIndex,
    RepresentationError,
    UnsupportedError,
    check_index,
    check_model,
    check_reps,
    open_index,
)
from m3kit.records import Document, Record
from m3kit.retriever import Retriever
from m3kit.vectors import REPS, Rep

_PAGE = 256
_PART = 32
"""How many records are read at once by their ids, which tell no sizes."""

_BATCH_BYTES = 16 * 2**20
"""Bytes of vectors that are read and written at once, so that few ColBERT vectors are in memory."""


_PROBLEMS = 5
"""How many problems an error names."""


@runtime_checkable
class HasAliases(Protocol):
    """An index in a collection that can have other names."""

    def switch_alias(self, alias: str, /) -> None:
        """Have an alias stand for the collection, wherever it stood before."""
        ...


class CopyError(M3Error, RuntimeError):
    """A copy that is not what it was copied from."""


@dataclass(frozen=True, slots=True)
class Copy:
    """
    What a copy did.

    Args:
        written: How many documents were written.
        present: How many the target had already.
        reps: The representations that were copied.
        comparison: How the target compares with the source; None where that was not asked for.
    """

    written: int
    present: int
    reps: frozenset[Rep]
    comparison: Comparison | None

    def __str__(self) -> str:
        reps = ", ".join(rep for rep in REPS if rep in self.reps)
        present = f", {self.present} were there" if self.present else ""
        checked = "" if self.comparison is None else f"; {self.comparison}"
        return f"{self.written} documents written{present} ({reps}){checked}"


def open_target(
    source: HybridIndex,
    address: str | PathLike[str],
    *,
    reps: Collection[Rep] | None = None,
) -> OpenedIndex:
    """
    Open the index at an address, and create it for what a source holds if there is none.

    Args:
        source: The index that is to be copied.
        address: See `m3kit.open_index`.
        reps: The representations to be copied, by default all.

    Raises:
        RepresentationError: If the store cannot hold one of them, or the source does not.
        ValueError: If the source holds no document.
        IndexNotFoundError, ModelMismatchError, IndexLockedError: As `m3kit.open_index` says.
    """
    check_index(source)
    chosen = _chosen(source, reps)
    dim = next((width for record in source.scan(None, chosen) for width in _widths(record)), None)
    if dim is None and next(source.scan(), None) is None:
        raise ValueError("the index holds no document, so there is nothing to copy")
    target = open_index(address, dim=dim or 1, reps=sorted(chosen), model=source.model)
    try:
        _check_target(source, target, chosen)
    except BaseException:
        target.close()
        raise
    return target


def copy_index(
    source: HybridIndex,
    target: HybridIndex,
    *,
    where: Filter | None = None,
    reps: Collection[Rep] | None = None,
    verify: int = 100,
    on_batch: Callable[[int], None] | None = None,
) -> Copy:
    """
    Copy documents and their vectors; nothing is encoded.

    What the target holds besides stays. The source is not to be written to meanwhile.

    Args:
        source: What is read.
        target: What is written.
        where: Which documents are copied, by default all.
        reps: The representations that are copied, by default all; the target holds these.
        verify: How many documents are compared afterwards: texts, metadata, vectors, and the
            rankings of searches for a fifth of them. 0 compares the number of documents alone.
        on_batch: Called with the number of documents seen so far, after each batch.

    Raises:
        RepresentationError: If the target does not hold exactly `reps`, or the source does not; or
            if both pool ColBERT vectors, which would then be pooled twice.
        ModelMismatchError: If another model made the target.
        CopyError: If the target is not what the source is: see `m3kit.copy_check`.
        Exception: What a store raises, with a note of what was written; call again to complete it.
    """
    check_index(source)
    check_index(target)
    chosen = _chosen(source, reps)
    _check_target(source, target, chosen)
    written = present = 0
    try:
        for missing, seen in _batches(source, target, where, chosen):
            if missing:
                target.upsert(missing)
            written, present = written + len(missing), present + seen - len(missing)
            if on_batch is not None:
                on_batch(written + present)
        target.flush()
    except BaseException as error:
        error.add_note(f"{written} documents were copied; the same call again copies the rest")
        raise
    comparison = compare(source, target, where, chosen, sample=verify)
    _check(comparison)
    return Copy(written, present, chosen, comparison)


def reencode_index(
    source: HybridIndex,
    target: HybridIndex,
    encoder: Encoder,
    *,
    where: Filter | None = None,
    batch_size: int = 128,
    verify: int = 100,
    on_batch: Callable[[int], None] | None = None,
) -> Copy:
    """
    Copy documents, and encode them by another model; the source stays as it is.

    When the copy is complete, `switch_alias` or the address of searches makes the switch.

    Args:
        source: What is read.
        target: What is written, created for `encoder`.
        encoder: The model.
        where: Which documents, by default all.
        batch_size: How many are encoded and written at once.
        verify: How many documents are compared afterwards: their texts and metadata.
        on_batch: Called with the number of documents written so far, after each batch.

    Raises:
        RepresentationError, ModelMismatchError: If the target is not the encoder's.
        CopyError: If the target lacks documents, or has others.
    """
    check_index(source)
    before = target.count()
    retriever = Retriever(encoder, target)
    written = retriever.add(
        _documents(source, target, where), batch_size=batch_size, on_batch=on_batch
    )
    comparison = compare(source, target, where, frozenset(), sample=verify)
    _check(comparison)
    present = comparison.documents - written if before else 0
    return Copy(written, present, target.reps, comparison)


def switch_alias(index: HybridIndex, alias: str) -> None:
    """
    Have an alias stand for an index from now on, wherever it stood before.

    Raises:
        UnsupportedError: If the engine has no aliases.
    """
    if not isinstance(index, HasAliases):
        raise UnsupportedError(
            f"{type(index).__name__} has no aliases, as Qdrant's and Milvus's collections have; "
            "search at the new address instead"
        )
    index.switch_alias(alias)


def _check(comparison: Comparison) -> None:
    if comparison.problems:
        raise CopyError(
            f"the copy is not what it was made from: {'; '.join(comparison.problems[:_PROBLEMS])}; "
            "delete the target and copy again"
        )


def _chosen(source: HybridIndex, reps: Collection[Rep] | None) -> frozenset[Rep]:
    if reps is None:
        return source.reps
    check_reps(reps, available=source.reps)
    return frozenset(reps)


def _check_target(source: HybridIndex, target: HybridIndex, reps: frozenset[Rep]) -> None:
    check_model(target.model, source.model, "the target")
    for rep in REPS:
        if rep in reps - target.reps:
            raise RepresentationError(
                f"the target holds no {rep} vectors; leave them behind with "
                f"reps={[left for left in REPS if left in reps & target.reps]} (--reps)"
            )
        if rep in target.reps - reps:
            raise RepresentationError(
                f"the target holds {rep} vectors, which are not copied; copy them too, or choose "
                "another target"
            )
    if "colbert" in reps and _pools(source) and _pools(target):
        raise RepresentationError(
            "the source holds pooled ColBERT vectors, which the target would pool again; choose a "
            "target that pools none (ColbertStorage), or leave them behind with reps= (--reps)"
        )


def _pools(index: HybridIndex) -> bool:
    manifest = manifest_of(index)
    return manifest is not None and manifest.colbert.pool_factor > 1


def _batches(
    source: HybridIndex, target: HybridIndex, where: Filter | None, reps: frozenset[Rep]
) -> Iterator[tuple[list[Record], int]]:
    """Yield what the target lacks, and of how many documents that is."""
    if not target.count():
        for batch in chunked(source.scan(where, reps), size=_nbytes, budget=_BATCH_BYTES):
            yield batch, len(batch)
        return
    for page in batched((record.document for record in source.scan(where)), _PAGE):
        missing = _missing(target, page)
        yield [], len(page) - len(missing)
        for part in batched(missing, _PART):
            records = source.get([document.id for document in part], reps)
            yield records, len(records)


def _missing(target: HybridIndex, documents: Sequence[Document]) -> list[Document]:
    """Return the documents that the target has not, or not as they are."""
    stored = {
        record.document.id: record.document
        for record in target.get([document.id for document in documents])
    }
    return [document for document in documents if stored.get(document.id) != document]


def _documents(
    source: HybridIndex, target: HybridIndex, where: Filter | None
) -> Iterator[Document]:
    """Yield the documents that the target lacks."""
    documents = (record.document for record in source.scan(where))
    if not target.count():
        return documents
    return chain.from_iterable(_missing(target, page) for page in batched(documents, _PAGE))


def _nbytes(record: Record) -> int:
    return record.output.nbytes + len(record.document.text)


def _widths(record: Record) -> Iterator[int]:
    for vectors in (record.output.dense, record.output.colbert):
        if vectors is not None:
            yield int(vectors.shape[-1])
