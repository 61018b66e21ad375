"""What is wrong with an index, compared with vectors that are made of its texts again."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import islice
from typing import Protocol, runtime_checkable

import numpy as np

from m3kit.adapters.manifest import manifest_of
from m3kit.adapters.storage import ColbertStorage
from m3kit.doctor.vectors import Finding, compare
from m3kit.encoder import Encoder, same_model
from m3kit.index import HybridIndex, Search
from m3kit.records import Record
from m3kit.scoring import scores
from m3kit.vectors import REPS, M3Output, Rep

_SPREAD = 20
"""Of how many times as many documents the sample is taken."""

_QUERIES = 8
_HITS = 10
_NEAR = 1e-2
"""How far an engine's score may be off that of the vectors it holds."""


@runtime_checkable
class _KnowsItsGraph(Protocol):
    """An index of an engine that builds a graph of the dense vectors."""

    def graph_problem(self) -> str | None: ...


def examine_index(
    index: HybridIndex, reference: Encoder, *, sample: int = 64, tolerance: float = 2e-3
) -> list[Finding]:
    """
    Compare what an index holds with a reference of the model that made it, and name what differs.

    Args:
        index: What is examined; nothing is written.
        reference: What is right, such as a `m3kit.torch.TorchEncoder` of the checkpoint.
        sample: How many documents are read and encoded again.
        tolerance: How far a number may be off; the default is half precision's.

    Returns:
        Nothing for an index whose vectors are the reference's and whose searches find them. One
        that is empty is not wrong.
    """
    reps = [rep for rep in REPS if rep in index.reps & reference.reps]
    records = _sample(index, sample, reps)
    findings = [*_about_the_model(index, reference), *_about_counts(index, sample)]
    expected = _expected(index, reference, records, reps)
    for rep in reps:
        findings += _about_vectors(rep, records, expected, tolerance)
    if not findings:
        findings += [
            finding for rep in reps for finding in _about_searches(rep, index, records, expected)
        ]
    if isinstance(index, _KnowsItsGraph) and (problem := index.graph_problem()) is not None:
        findings.append(Finding("graph", problem))
    return findings


def _sample(index: HybridIndex, size: int, reps: Collection[Rep]) -> list[Record]:
    """Read some of the first documents, as far apart as there are."""
    ids = [record.document.id for record in islice(index.scan(), size * _SPREAD)]
    return index.get(ids[:: -(-len(ids) // size) or 1], reps)


def _expected(
    index: HybridIndex, reference: Encoder, records: Sequence[Record], reps: Sequence[Rep]
) -> list[M3Output]:
    """Encode the texts again, and store ColBERT vectors as the index does."""
    outputs = reference.encode_documents([record.document.text for record in records], reps)
    manifest = manifest_of(index)
    storage = ColbertStorage() if manifest is None else manifest.colbert
    return [storage.stored_output(output) for output in outputs]


def _about_the_model(index: HybridIndex, reference: Encoder) -> Iterator[Finding]:
    if index.model and reference.model and not same_model(index.model, reference.model):
        yield Finding(
            "model",
            f"it was made by {index.model}, and the reference is {reference.model}; compare with "
            "the model that made it",
        )


def _about_counts(index: HybridIndex, sample: int) -> Iterator[Finding]:
    count = index.count()
    if count <= sample * _SPREAD and (scanned := sum(1 for _ in index.scan())) != count:
        yield Finding(
            "count",
            f"the engine counts {count} documents and lists {scanned}: some are there twice, or "
            "were not deleted whole; index them again at another address",
        )


def _about_vectors(
    rep: Rep, records: Sequence[Record], expected: Sequence[M3Output], tolerance: float
) -> Iterator[Finding]:
    complete = [
        (record.output, output)
        for record, output in zip(records, expected, strict=True)
        if not _lacks(rep, record.output, output)
    ]
    if missing := len(records) - len(complete):
        yield Finding(
            f"missing-{rep}",
            f"{missing} of {len(records)} documents have no {rep} vector: written half, or by a "
            "client that does not make them; write them again by m3kit",
        )
    if not complete:
        return
    actual, right = zip(*complete, strict=True)
    if rep == "dense" and actual[0].dense.shape != right[0].dense.shape:
        widths = f"{len(actual[0].dense)} wide, and the reference's {len(right[0].dense)}"
        yield Finding("width", f"the vectors are {widths}: another model")
        return
    yield from compare(actual, right, [rep], tolerance=tolerance)


def _lacks(rep: Rep, output: M3Output, right: M3Output) -> bool:
    match rep:
        case "dense":
            return output.dense is None or not output.dense.any()
        case "sparse":
            return not output.sparse and bool(right.sparse)
        case "colbert":
            return output.colbert is None or not output.colbert.any()


def _about_searches(
    rep: Rep, index: HybridIndex, records: Sequence[Record], expected: Sequence[M3Output]
) -> Iterator[Finding]:
    """Search for documents by their own vectors, and hold the engine's scores against them."""
    unfound = 0
    for record, output in islice(zip(records, expected, strict=True), _QUERIES):
        query = output.only(rep)
        if rep == "sparse" and not output.sparse:
            continue
        hits = index.search(Search(query=query, k=_HITS))
        stored = index.get([hit.document.id for hit in hits], [rep])
        right = scores(rep, query, [other.output for other in stored])
        if np.abs(right - [hit.score for hit in hits]).max(initial=0) > _NEAR:
            yield Finding(
                f"{rep}-metric",
                f"the engine's {rep} scores are not those of the vectors that it holds: its metric "
                "is not the inner product; make the index anew",
            )
            return
        (score,) = scores(rep, query, [record.output])
        is_among = record.document.id in {hit.document.id for hit in hits}
        is_outdone = len(hits) == _HITS and hits[-1].score >= score - _NEAR
        unfound += not is_among and not is_outdone
    if unfound:
        yield Finding(
            f"{rep}-unfound",
            f"{unfound} of {min(_QUERIES, len(records))} documents are not found by their own "
            f"{rep} vector: it is not searchable yet, or its graph is damaged; flush the index, or "
            "make it anew",
        )
