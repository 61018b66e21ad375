"""The job that is killed: two versions of a source into an index, and what must be there then."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
from tests.faults.engines import Engine

from m3kit import HybridIndex, M3Output, MemoryIndex, Record, Rep, Retriever, Search
from m3kit.ingest import Ledger, Retries, SourceDocument, read_sources, sync, verify
from m3kit.testing import DIM, HashEncoder

MODEL = "hash@1"
QUERY = "dog bear"
_WORDS = ("dog", "bear", "cat", "bird", "fish", "table", "row", "paper", "ink", "river")


class Encoder(HashEncoder):
    """The hash encoder, with a fingerprint."""

    model = MODEL


def write_sources(folder: Path) -> tuple[Path, Path]:
    """Write the first and the second version of the source: edited, new, renamed and gone."""
    first, second = folder / "first", folder / "second"
    chance = random.Random(7)  # noqa: S311  # texts, not secrets

    def text() -> str:
        return " ".join(chance.choices(_WORDS, k=12))

    files = {f"{name}.txt": [text() for _ in range(9)] for name in "abc"}
    rows = [{"id": f"row {n}", "text": text(), "metadata": {"year": n}} for n in range(12)]
    _write(first, files, rows)
    edited = {
        "a.txt": [text(), *files["a.txt"][:5]],
        "c.txt": files["c.txt"],
        "d.txt": [text() for _ in range(5)],
    }
    changed = [{**row, "metadata": {"year": -1}} if n % 2 else row for n, row in enumerate(rows)]
    changed[0] = {**rows[0], "text": text()}
    _write(second, edited, changed[:-2])
    return first, second


def _write(
    folder: Path, files: Mapping[str, list[str]], rows: Sequence[Mapping[str, object]]
) -> None:
    folder.mkdir(parents=True)
    for name, paragraphs in files.items():
        (folder / name).write_text("\n\n".join(paragraphs) + "\n", "utf-8")
    lines = [json.dumps(row) for row in rows]
    (folder / "rows.jsonl").write_text("\n".join(lines) + "\n", "utf-8")


def run_job(engine: Engine, folder: Path, source: Path, *, patient: bool = True) -> None:
    """Bring an index up to date with its source."""
    retries = Retries(attempts=30 if patient else 2, first_wait=0.1, longest_wait=0.5)
    with engine.open(folder) as index, Ledger(engine.ledger(folder), index) as ledger:
        sync(
            Encoder(),
            index,
            read_sources([source]),
            ledger=ledger,
            prune=True,
            moved=True,  # the second version of the source lies elsewhere
            batch_size=6,
            checkpoint_seconds=0.0,
            retries=retries,
        )


def compare(engine: Engine, folder: Path, source: Path) -> dict[str, list[str]]:
    """Name what an index has lost, doubled or corrupted, as the oracle has it."""
    expected = {
        item.id: item for item in read_sources([source]) if isinstance(item, SourceDocument)
    }
    with engine.open(folder) as index, Ledger(engine.ledger(folder), index) as ledger:
        records = list(index.scan(None, index.reps))
        copies = Counter(record.document.id for record in records)
        found = _search(index, len(expected))
        verified = verify(index, ledger=ledger, documents=read_sources([source]))
        count = index.count()
    oracle = MemoryIndex(DIM, reps=index.reps, model=MODEL)
    Retriever(Encoder(), oracle).add(expected.values())
    wrong = [record for record in records if not _is_right(record, expected, index.reps)]
    best = _search(oracle, len(expected))
    return {
        "lost": sorted(expected.keys() - copies.keys()),
        "doubled": [
            *(id_ for id_, number in copies.items() for _ in range(number - 1)),
            *(copies.keys() - expected.keys()),
        ],
        "corrupted": [
            *(f"wrong: {record.document}" for record in wrong),
            *([f"found {found}, and the oracle {best}"] if found != best else []),
            *([f"counts {count} of {len(expected)}"] if count != len(expected) else []),
            *([] if verified.ok else [str(verified.to_json())]),
        ],
    }


def _search(index: HybridIndex, k: int) -> list[str]:
    (query,) = Encoder().encode_queries([QUERY])
    hits = index.search(Search(query=query.only(*(index.reps - {"colbert"})), k=k))
    return [hit.document.id for hit in hits]


def _is_right(
    record: Record, expected: Mapping[str, SourceDocument], reps: Collection[Rep]
) -> bool:
    document = expected.get(record.document.id)
    if document is None:
        return True  # it counts as doubled
    (output,) = Encoder().encode_documents([document.text], reps)
    return (record.document.text, record.document.metadata) == (
        document.text,
        document.metadata,
    ) and _same(record.output, output)


def _same(stored: M3Output, output: M3Output) -> bool:
    pairs = [(stored.dense, output.dense), (stored.colbert, output.colbert)]
    if stored.sparse is not None and output.sparse is not None:
        pairs += [(stored.sparse.weights, output.sparse.weights)]
        if stored.sparse.ids.tolist() != output.sparse.ids.tolist():
            return False
    return stored.reps == output.reps and all(
        mine is None or (theirs is not None and np.allclose(mine, theirs, atol=1e-6))
        for mine, theirs in pairs
    )
