"""
How much of encoding and writing overlaps in a run, and what a run over many documents holds.

    python -m benchmarks.ingest [--batches 100] [--documents 1000000] [--json FILE]

Overlap: a run's time divided by the longer of its parts, encoding alone and writing alone. An
encoder that sleeps shares no core with the store, so that 1.00 is perfect; the tiny model beside
Qdrant Edge shares all of them. The remote store is `milvus-lite server`, a process of its own.

Memory: the process's resident set while documents are read, compared with a ledger, encoded by
something that costs nothing and written: to an index that keeps nothing, so that what grows would
be the run's own, and to Qdrant Edge, which maps its files and has its ids in memory.
"""

from __future__ import annotations

import argparse
import json
import resource
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, sleep

import numpy as np
from tests.milvus.conftest import lite_server

from m3kit import Document, Encoder, HybridIndex, M3Output, MemoryIndex, Record, Rep, open_index
from m3kit.ingest import Ledger, Summary, sync

BATCH = 64
DIM = 256
_SMALL = 8
_STATUS = Path("/proc/self/status")


@dataclass(frozen=True, slots=True)
class Overlap:
    """The seconds of encoding alone, of writing alone, and of a run."""

    name: str
    encoding: float
    writing: float
    run: float

    @property
    def ratio(self) -> float:
        """The run's time in that of the longer part."""
        return self.run / max(self.encoding, self.writing)


class SleepingEncoder:
    """Takes a time for each batch, and no CPU."""

    model = "sleeping@1"
    reps: frozenset[Rep] = frozenset({"dense"})

    def __init__(self, seconds: float, dim: int = DIM) -> None:
        self._seconds = seconds
        self.dim = dim
        vector = np.random.default_rng(0).standard_normal(dim).astype(np.float32)
        self._output = M3Output(dense=vector / np.linalg.norm(vector))

    def encode_queries(
        self, texts: Sequence[str], reps: Collection[Rep] | None = None
    ) -> list[M3Output]:
        """Encode as `encode_documents` does."""
        return self.encode_documents(texts, reps)

    def encode_documents(
        self, texts: Sequence[str], _: Collection[Rep] | None = None
    ) -> list[M3Output]:
        """Sleep, and return the same vector for each text."""
        if self._seconds:
            sleep(self._seconds)
        return [self._output] * len(texts)


class SleepingIndex(MemoryIndex):
    """Takes a time for each batch, and keeps nothing but its count."""

    def __init__(self, seconds: float, dim: int = DIM) -> None:
        super().__init__(dim, reps=["dense"], model="sleeping@1")
        self._seconds = seconds
        self._count = 0

    def upsert(self, records: Sequence[Record], /) -> None:
        """Sleep, and count."""
        if self._seconds:
            sleep(self._seconds)
        self._count += len(records)

    def count(self, *_: object) -> int:
        """Return how many records were written."""
        return self._count


def documents(count: int) -> Iterator[Document]:
    """Yield documents that differ."""
    for n in range(count):
        yield Document(f"{n:08}", f"document {n} about tables, rows and columns", {"number": n})


def seconds(do: Callable[[], object]) -> float:
    """Measure a call."""
    start = perf_counter()
    do()
    return perf_counter() - start


def write(index: HybridIndex, batches: Sequence[Sequence[Record]]) -> None:
    """Write batches, and flush."""
    for records in batches:
        index.upsert(records)
    index.flush()


def overlap(
    name: str,
    encoder: Encoder,
    opened: Callable[[], AbstractContextManager[HybridIndex]],
    batches: int,
) -> Overlap:
    """Measure encoding, writing, and both in a run."""
    batched = [
        list(documents(BATCH * batches))[first : first + BATCH]
        for first in range(0, BATCH * batches, BATCH)
    ]
    with opened() as index:
        reps = index.reps
    encode = [encoder.encode_documents([d.text for d in batched[0]], reps)]
    encode.clear()
    encoding = seconds(
        lambda: encode.extend(
            encoder.encode_documents([document.text for document in batch], reps)
            for batch in batched
        )
    )
    records = [
        [Record(*pair) for pair in zip(batch, outputs, strict=True)]
        for batch, outputs in zip(batched, encode, strict=True)
    ]
    with opened() as index:
        writing = seconds(lambda: write(index, records))
    with opened() as index:
        run = seconds(lambda: sync(encoder, index, documents(BATCH * batches), batch_size=BATCH))
    return Overlap(name, encoding, writing, run)


def resident() -> tuple[float, float]:
    """Return the resident set, and what of it maps no file, in MiB."""
    if _STATUS.exists():
        status = dict(line.split(":", 1) for line in _STATUS.read_text("ascii").splitlines())
        whole, anonymous = (int(status[name].split()[0]) / 2**10 for name in ("VmRSS", "RssAnon"))
        return whole, anonymous
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    return most, most


def memory(
    count: int, opened: Callable[[Path], AbstractContextManager[HybridIndex]]
) -> Iterator[tuple[int, float, float]]:
    """Yield the resident set as a run goes on: documents and MiB, ten times."""
    measured: list[tuple[int, float, float]] = []
    step = max(count // 10, 1)

    def measure(summary: Summary) -> None:
        if summary.encoded >= step * (len(measured) + 1):
            measured.append((summary.encoded, *resident()))

    with (
        TemporaryDirectory() as folder,
        opened(Path(folder) / "index") as index,
        Ledger(Path(folder) / "ledger", index) as ledger,
    ):
        sync(
            SleepingEncoder(0, _SMALL),
            index,
            documents(count),
            ledger=ledger,
            batch_size=512,
            on_progress=measure,
        )
    yield from measured


@contextmanager
def remote(folder: Path) -> Iterator[Callable[[], AbstractContextManager[HybridIndex]]]:
    """Serve Milvus Lite, and give what opens new collections there."""
    with lite_server(folder) as address:
        names = iter(range(10))
        yield lambda: open_index(
            f"milvus://{address}/run{next(names)}", dim=DIM, reps=["dense"], model="sleeping@1"
        )


STORES: dict[str, Callable[[Path], AbstractContextManager[HybridIndex]]] = {
    "an index that keeps nothing": lambda _: nullcontext(SleepingIndex(0, _SMALL)),
    "Qdrant Edge, 8 dimensions": lambda folder: open_index(
        folder, dim=_SMALL, reps=["dense"], model="sleeping@1"
    ),
}


def measure_overlaps(batches: int) -> Iterator[Overlap]:
    """Measure with sleeping parts, a remote store, and parts that share the cores."""
    for encode_s, write_s in ((0.05, 0.05), (0.05, 0.02), (0.02, 0.05)):
        name = f"encoder {encode_s * 1000:.0f} ms, store {write_s * 1000:.0f} ms a batch"
        index = SleepingIndex(write_s)
        yield overlap(name, SleepingEncoder(encode_s), lambda i=index: nullcontext(i), batches)  # type: ignore[misc]  # bound now
    with TemporaryDirectory() as folder:
        with remote(Path(folder)) as opened:
            yield overlap("encoder 100 ms, Milvus over TCP", SleepingEncoder(0.1), opened, batches)
        from m3kit.torch import TorchEncoder

        encoder = TorchEncoder.from_pretrained("tiny")
        numbers = iter(range(10))
        yield overlap(
            "tiny model, Qdrant Edge, two cores",
            encoder,
            lambda: open_index(Path(folder, f"edge{next(numbers)}"), encoder=encoder),
            batches,
        )


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ingest")
    parser.add_argument("--batches", type=int, default=100)
    parser.add_argument("--documents", type=int, default=1_000_000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    resident_sets: dict[str, list[tuple[int, float, float]]] = {}
    for store, opened in STORES.items():
        print(f"{'documents':>10} {'MiB':>8} {'anonymous':>9}  {store}")
        resident_sets[store] = list(memory(options.documents, opened))
        for count, mebibytes, anonymous in resident_sets[store]:
            print(f"{count:10,} {mebibytes:8.1f} {anonymous:9.1f}", flush=True)
    overlaps = []
    print(f"\n{'':44} {'encoding':>9} {'writing':>9} {'run':>9} {'run / slower':>13}")
    for row in measure_overlaps(options.batches):
        overlaps.append(row)
        numbers = f"{row.encoding:8.2f}s {row.writing:8.2f}s {row.run:8.2f}s {row.ratio:13.3f}"
        print(f"{row.name:44} {numbers}", flush=True)
    if options.json:
        result = {"overlap": [asdict(row) for row in overlaps], "memory": resident_sets}
        options.json.write_text(json.dumps(result), "utf-8")


if __name__ == "__main__":
    main()
