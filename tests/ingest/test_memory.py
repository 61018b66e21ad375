"""The memory that reading large files takes, which does not grow with their size."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

pytestmark = pytest.mark.slow

TEXT = "A table of the text document has rows and columns, and a macro inserts them. " * 6
MEGABYTE = 2**20

READ = """
import resource, sys
from m3kit.ingest import read_sources, strict
count = sum(1 for _ in strict(read_sources(sys.argv[1:])))
print(count, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def rows(count: int) -> Iterator[tuple[int, str]]:
    return ((number, f"{number} {TEXT}") for number in range(count))


def jsonl(path: Path, count: int) -> None:
    with path.open("w") as file:
        file.writelines(f'{{"id": "{n}", "text": "{text}", "n": {n}}}\n' for n, text in rows(count))


def csv(path: Path, count: int) -> None:
    with path.open("w") as file:
        file.write("id,text,n\n")
        file.writelines(f'{n},"{text}",{n}\n' for n, text in rows(count))


def txt(path: Path, count: int) -> None:
    with path.open("w") as file:
        file.writelines(f"{text}\n\n" for _, text in rows(count))


def parquet(path: Path, count: int) -> None:
    schema = pa.schema({"id": pa.string(), "text": pa.string(), "n": pa.int64()})
    with pq.ParquetWriter(path, schema, compression="none", use_dictionary=False) as writer:
        for start in range(0, count, 1000):
            numbers = range(start, start + 1000)
            columns = [list(map(str, numbers)), [f"{n} {TEXT}" for n in numbers], list(numbers)]
            writer.write_table(pa.table(columns, schema=schema))


def peak(path: Path) -> tuple[int, int]:
    """Return how many documents a file has, and the memory to read them, in bytes."""
    result = subprocess.run([sys.executable, "-c", READ, path], capture_output=True, check=True)
    count, kilobytes = result.stdout.split()
    return int(count), int(kilobytes) * 1024


@pytest.mark.skipif(sys.platform == "win32", reason="it has no resource module")
@pytest.mark.parametrize("write", [jsonl, csv, txt, parquet])
def test_a_file_of_50_megabytes_is_a_stream(
    tmp_path: Path, write: Callable[[Path, int], None]
) -> None:
    small, large = (tmp_path / f"{size}.{write.__name__}" for size in ("small", "large"))
    write(small, 10_000)
    write(large, 110_000)
    assert large.stat().st_size > 50_000_000
    (few, before), (many, after) = peak(small), peak(large)
    assert (few, many) == (10_000, 110_000)
    assert after < before + 8 * MEGABYTE
