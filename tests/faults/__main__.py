"""
Kill jobs in every way, run them again, and print what was lost, doubled or corrupted.

    python -m tests.faults [--engine edge|local|lite|tcp] [--points 200] [--json FILE]

Each engine is disturbed at about so many points. Takes twenty minutes with 200; the default suite
has a short form, `tests/faults/test_faults.py`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import mkdtemp
from time import monotonic

from tests.faults import harness, preload, servers
from tests.faults.engines import EMBEDDED, import_engines
from tests.faults.harness import COUNTS, Scene, Tally
from tests.faults.job import write_sources

ENGINES = (*EMBEDDED, "tcp")
_MEMORY = Path("/dev/shm")  # noqa: S108  # a file system without a disk, where there is one


def main() -> None:
    """Parse the options and print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults")
    parser.add_argument("--engine", action="append", choices=ENGINES)
    parser.add_argument("--kind", action="append", help="file, torn, time, disk, server, proxy")
    parser.add_argument("--points", type=int, default=200)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    folder = Path(mkdtemp(dir=_MEMORY if _MEMORY.is_dir() else None))
    try:
        _preload(folder)
        import_engines()
        tallies = []
        for tally in _run(options.engine or ENGINES, options.kind, options.points, folder):
            tallies.append(tally)
            _print(tally)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if options.json:
        options.json.write_text(json.dumps([tally.to_json() for tally in tallies]), "utf-8")


def _run(
    engines: Sequence[str], kinds: list[str] | None, points: int, folder: Path
) -> Iterator[Tally]:
    print(f"{'engine':22} {'killed at':32} {'points':>6}", *(f"{name:>9}" for name in COUNTS))
    work = folder / "work"
    for name in engines:
        own = folder / name
        own.mkdir()
        runs: dict[str, Callable[[], Iterator[Tally]]]
        if name == "tcp":
            runs = _tcp_runs(own, work, points)
        else:
            scenes = harness.scenes(EMBEDDED[name], own)
            runs = _embedded_runs(scenes, work, points)
        for kind, run in runs.items():
            is_possible = kind not in {"file", "torn"} or preload.is_preloaded()
            if (not kinds or kind in kinds) and is_possible:
                yield from run()


def _embedded_runs(
    scenes: Sequence[Scene], work: Path, points: int
) -> dict[str, Callable[[], Iterator[Tally]]]:
    file, torn, time, disk = (-(-points * percent // 100) for percent in (40, 15, 35, 10))
    return {
        "file": lambda: harness.at_file_operations(scenes, work, file),
        "torn": lambda: harness.at_file_operations(scenes, work, torn, torn=True),
        "time": lambda: harness.at_random_times(scenes, work, time),
        "disk": lambda: harness.on_full_disks(scenes, work, disk),
    }


def _tcp_runs(folder: Path, work: Path, points: int) -> dict[str, Callable[[], Iterator[Tally]]]:
    source, _ = write_sources(folder / "sources")
    file, server, time, proxy = (-(-points * percent // 100) for percent in (40, 20, 20, 20))
    return {
        "file": lambda: servers.of_the_server(source, work, file, at_operations=True),
        "server": lambda: servers.of_the_server(source, work, server, at_operations=False),
        "time": lambda: servers.of_the_client(source, work, time),
        "proxy": lambda: servers.of_connections(source, work, proxy),
    }


def _print(tally: Tally) -> None:
    counts = (f"{getattr(tally, name):9}" for name in COUNTS)
    print(f"{tally.engine:22} {tally.kind:32} {tally.points:6}", *counts, flush=True)
    for example in tally.examples:
        print(f"    {example}", flush=True)


def _preload(folder: Path) -> None:
    """Start this process anew with the shim, if there is a compiler."""
    if preload.is_preloaded():
        return
    if (library := preload.compile_shim(folder)) is None:
        print("no C compiler here: no kills at file operations", file=sys.stderr)
        return
    start = monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults", *sys.argv[1:]],
        env={**os.environ, "LD_PRELOAD": str(library)},
        check=False,
    )
    shutil.rmtree(folder, ignore_errors=True)
    print(f"took {monotonic() - start:.0f} s")
    sys.exit(done.returncode)


main()
