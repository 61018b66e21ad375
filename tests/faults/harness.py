"""Disturbing a job in every way, running it again, and comparing with the oracle."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Thread
from time import monotonic, sleep

from tests.faults import disks, preload
from tests.faults.children import Child
from tests.faults.engines import Engine, free_port, start_server, tcp
from tests.faults.job import compare, run_job, write_sources
from tests.faults.proxy import FAULTS, Proxy

_EXAMPLES = 5
_POLL_S = 0.01
_REPORT_S = 0.1
COUNTS = ("lost", "doubled", "corrupted", "refused", "failed")


@dataclass(slots=True)
class Tally:
    """
    What faults of a kind have done to an engine.

    Args:
        engine: The engine.
        kind: The kind of fault.
        points: How many jobs were disturbed.
        lost: Documents that are not there after the job was run again.
        doubled: Documents that are there too often, or no longer should be.
        corrupted: Documents, or answers, that are not what was written.
        refused: Jobs that were refused with one line, since the engine's state is damaged.
        failed: Jobs that ended otherwise.
        examples: What was wrong, of the first.
    """

    engine: str
    kind: str
    points: int = 0
    lost: int = 0
    doubled: int = 0
    corrupted: int = 0
    refused: int = 0
    failed: int = 0
    examples: list[str] = field(default_factory=list)

    def finish(self, point: str, end: Callable[[], dict[str, int]]) -> None:
        """Run a job again in a process of its own, and count what it finds."""
        answer = Child(end).result()
        self.points += 1
        match answer:
            case {"result": counts}:
                for name, count in counts.items():
                    setattr(self, name, getattr(self, name) + count)
                wrong = {name: count for name, count in counts.items() if count}
            case {"known": True, "error": error, "line": line}:
                self.refused += 1
                wrong = {f"{error}: {line}": 1}
            case _:
                self.failed += 1
                wrong = {str(answer)[:2000]: 1}
        if wrong and len(self.examples) < _EXAMPLES:
            self.examples.append(f"{point}: {wrong}")

    def to_json(self) -> dict[str, object]:
        """Return it as JSON."""
        names = ("engine", "kind", "points", *COUNTS, "examples")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, slots=True)
class Scene:
    """
    A job, and what is there before it.

    Args:
        name: `first`, from nothing; or `second`, from an index of the source's first version.
        engine: Where it writes.
        before: A folder with what is there before, to be copied.
        source: What it reads.
    """

    name: str
    engine: Engine
    before: Path
    source: Path

    def copy(self, folder: Path) -> Path:
        """Set the scene in a folder."""
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.before, folder)
        return folder

    def run(self, folder: Path) -> None:
        """Do the job."""
        run_job(self.engine, folder, self.source)

    def end(self, folder: Path) -> dict[str, int]:
        """Do it again, and compare."""
        self.run(folder)
        return compare(self.engine, folder, self.source)


def scenes(engine: Engine, folder: Path) -> Sequence[Scene]:
    """Prepare the two scenes of an engine in files."""
    first, second = write_sources(folder / "sources")
    nothing, indexed = folder / "nothing", folder / "indexed"
    for path in (nothing, indexed):
        path.mkdir()
    _done(Child(partial(run_job, engine, indexed, first)))
    return Scene("first", engine, nothing, first), Scene("second", engine, indexed, second)


def at_file_operations(
    scenes: Sequence[Scene], work: Path, points: int, *, torn: bool = False
) -> Iterator[Tally]:
    """Kill jobs at their changes to files, evenly; or after half of a write."""
    tally = Tally(scenes[0].engine.name, "half of a write" if torn else "a file operation")
    for scene in scenes:
        total = _calls(scene, work)
        for at in _evenly(total, points // len(scenes)):
            folder = scene.copy(work)
            Child(partial(_armed, scene, folder, at, torn=torn)).result()
            tally.finish(f"{scene.name}, {at} of {total}", partial(scene.end, folder))
    yield tally


def at_random_times(scenes: Sequence[Scene], work: Path, points: int) -> Iterator[Tally]:
    """Kill jobs after a random time."""
    tally, chance = Tally(scenes[0].engine.name, "a random time"), random.Random(1)  # noqa: S311
    for scene in scenes:
        start = monotonic()
        _done(Child(partial(scene.run, scene.copy(work))))
        seconds = monotonic() - start
        for _ in range(points // len(scenes)):
            after = chance.uniform(0, seconds)
            folder = scene.copy(work)
            job = Child(partial(scene.run, folder))
            sleep(after)
            job.kill()
            job.result()
            tally.finish(f"{scene.name}, {after:.3f} s", partial(scene.end, folder))
    yield tally


def on_full_disks(scenes: Sequence[Scene], work: Path, points: int) -> Iterator[Tally]:
    """Let jobs fill small file systems, give these more room, and run the jobs again."""
    tally = Tally(scenes[0].engine.name, "a full disk")
    tally_of_child = Child(partial(_fill_disks, scenes, work, points, tally)).result()
    if "result" in tally_of_child:
        yield Tally(**tally_of_child["result"])
    elif "may not" not in str(tally_of_child):
        raise RuntimeError(f"{tally_of_child}")


def _fill_disks(
    scenes: Sequence[Scene], work: Path, points: int, tally: Tally
) -> dict[str, object]:
    try:
        disks.enter_namespace()
    except OSError as error:
        raise OSError(f"this user may not mount a file system: {error}") from error
    disk = work / "disk"
    shutil.rmtree(work, ignore_errors=True)
    disk.mkdir(parents=True)
    for scene in scenes:
        least, most = _room(scene, disk)
        for number in range(points // len(scenes)):
            kilobytes = least + (most - least) * number // max(points // len(scenes), 1)
            disks.mount(disk, most * 2)
            folder = scene.copy(disk / "work")
            disks.mount(disk, max(kilobytes, 4), again=True)
            Child(partial(scene.run, folder)).result()
            disks.mount(disk, most * 4 + 400_000, again=True)
            tally.finish(f"{scene.name}, {kilobytes} KiB", partial(scene.end, folder))
            disks.unmount(disk)
    return tally.to_json()


def _room(scene: Scene, disk: Path) -> tuple[int, int]:
    """Return the kilobytes before and after a job on a disk that is large enough."""
    disks.mount(disk, 600_000)
    folder = scene.copy(disk / "work")
    before = _used(disk)
    _done(Child(partial(scene.run, folder)))
    after = _used(disk)
    disks.unmount(disk)
    reserve = 32 * 1024 if scene.engine.name.startswith("Qdrant") else 0
    return before + reserve, after + reserve + 256


def _used(disk: Path) -> int:
    return shutil.disk_usage(disk).used // 1024


def of_the_server(source: Path, work: Path, points: int, *, at_operations: bool) -> Iterator[Tally]:
    """Kill a job's server and start it again; the job goes on, or is run again."""
    kind = "the server, at a file operation" if at_operations else "the server, at a random time"
    tally, chance = Tally(tcp(0).name, kind), random.Random(2)  # noqa: S311
    seconds, total = _undisturbed(source, work)
    for at in _evenly(total, points) if at_operations else range(points):
        after = chance.uniform(0, seconds)
        data, port = _clean(work) / "data", free_port()
        server = start_server(
            data, port, partial(preload.arm, data, at) if at_operations else _nothing
        )
        job = Child(partial(run_job, tcp(port), work, source))
        started = monotonic()
        while job.is_alive():
            if not at_operations and monotonic() - started > after:
                server.kill()
                after = float("inf")
            if not server.is_alive():
                server = start_server(data, port)
            sleep(_POLL_S)
        job.result()
        tally.finish(f"{at} of {total}, {after:.3f} s", partial(_end, port, work, source))
        server.kill()
        server.result()
    yield tally


def of_the_client(source: Path, work: Path, points: int) -> Iterator[Tally]:
    """Kill jobs that write to a server, at random times."""
    tally, chance = Tally(tcp(0).name, "a random time"), random.Random(4)  # noqa: S311
    seconds, _ = _undisturbed(source, work)
    data, port = _clean(work) / "data", free_port()
    for _ in range(points):
        _clean(work)
        server = start_server(data, port)
        after = chance.uniform(0, seconds)
        job = Child(partial(run_job, tcp(port), work, source))
        sleep(after)
        job.kill()
        job.result()
        tally.finish(f"{after:.3f} s", partial(_end, port, work, source))
        server.kill()
        server.result()
    yield tally


def of_connections(source: Path, work: Path, points: int) -> Iterator[Tally]:
    """Cut, reset, truncate and delay a job's connections to its server."""
    chance = random.Random(3)  # noqa: S311
    tally = Tally(tcp(0).name, "a connection")
    for number in range(points):
        fault, after = FAULTS[number % len(FAULTS)], int(chance.uniform(100, 60_000))
        data, port, front = _clean(work) / "data", free_port(), free_port()
        server = start_server(data, port)
        proxy = Child(partial(_serve, front, port, fault, after))
        sleep(0.05)
        Child(partial(run_job, tcp(front), work, source)).result()
        tally.finish(f"{fault} after {after} bytes", partial(_end, front, work, source))
        for process in (proxy, server):
            process.kill()
            process.result()
    yield tally


def _serve(front: int, port: int, fault: str, after: int) -> None:
    Proxy(front, port, fault, after).serve()  # type: ignore[arg-type]  # one of FAULTS


def _end(port: int, work: Path, source: Path) -> dict[str, int]:
    run_job(tcp(port), work, source)
    return compare(tcp(port), work, source)


def _undisturbed(source: Path, work: Path) -> tuple[float, int]:
    """Return how long a job takes, and how often the server changes its files meanwhile."""
    data, port = _clean(work) / "data", free_port()
    counted = work / "calls"
    server = start_server(data, port, partial(_report_calls, data, counted))
    start = monotonic()
    _done(Child(partial(run_job, tcp(port), work, source)))
    seconds = monotonic() - start
    sleep(2 * _REPORT_S)
    server.kill()
    server.result()
    return seconds, int(counted.read_text("ascii")) if counted.exists() else 0


def _report_calls(data: Path, file: Path) -> None:
    """Have a thread of a server write how often it has changed its files."""
    if not preload.is_preloaded():
        return
    preload.arm(data)

    def report() -> None:
        while True:
            sleep(_REPORT_S)
            file.write_text(str(preload.calls()), "ascii")

    Thread(target=report, daemon=True).start()


def _clean(work: Path) -> Path:
    shutil.rmtree(work, ignore_errors=True)
    (work / "data").mkdir(parents=True)
    return work


def _armed(scene: Scene, folder: Path, at: int, *, torn: bool) -> None:
    preload.arm(folder, at, torn=torn)
    scene.run(folder)


def _calls(scene: Scene, work: Path) -> int:
    folder = scene.copy(work)

    def count() -> int:
        preload.arm(folder)
        scene.run(folder)
        return preload.calls()

    return int(_done(Child(count)))


def _done(child: Child) -> int:
    answer = child.result()
    if "result" not in answer:
        raise RuntimeError(f"the job fails where nothing disturbs it: {answer}")
    return int(answer["result"] or 0)


def _evenly(total: int, points: int) -> list[int]:
    """Return numbers from 1 to a total, all of them if there are no more than points."""
    if total <= points:
        return list(range(1, total + 1))
    return [1 + number * total // points for number in range(points)]


def _nothing() -> None:
    """Do nothing before a server starts."""
