"""Disturbing a job that writes to files, running it again, and comparing with the oracle."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tests.faults import disks, preload
from tests.faults.children import Child
from tests.faults.engines import Engine
from tests.faults.job import compare, run_job, write_sources

_EXAMPLES = 10
_DISK_S = 120
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

    def finish(self, point: str, end: Callable[[], dict[str, list[str]]]) -> None:
        """Run a job again in a process of its own, and count what it finds."""
        child = Child(end)
        answer = child.result()
        while "error" in answer and child.stood_still:  # and its deadlines have passed
            child = Child(end)
            answer = child.result()
        self.points += 1
        match answer:
            case {"result": differences}:
                for name, examples in differences.items():
                    setattr(self, name, getattr(self, name) + len(examples))
                wrong = {name: examples for name, examples in differences.items() if examples}
            case {"known": True, "error": error, "line": line}:
                self.refused += 1
                wrong = {error: [line]}
            case _:
                self.failed += 1
                wrong = {"failed": [str(answer)]}
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

    def end(self, folder: Path) -> dict[str, list[str]]:
        """Do it again, and compare."""
        self.run(folder)
        return compare(self.engine, folder, self.source)


def scenes(engine: Engine, folder: Path) -> Sequence[Scene]:
    """Prepare the two scenes of an engine in files."""
    first, second = write_sources(folder / "sources")
    nothing, indexed = folder / "nothing", folder / "indexed"
    for path in (nothing, indexed):
        path.mkdir()
    done(Child(partial(run_job, engine, indexed, first)))
    return Scene("first", engine, nothing, first), Scene("second", engine, indexed, second)


def at_file_operations(
    scenes: Sequence[Scene], work: Path, points: int, *, torn: bool = False
) -> Iterator[Tally]:
    """Kill jobs at their changes to files, evenly; or after half of a write."""
    tally = Tally(scenes[0].engine.name, "half of a write" if torn else "a file operation")
    for scene in scenes:
        total = _calls(scene, work)
        for at in evenly(total, points // len(scenes)):
            folder = scene.copy(work)
            Child(partial(_armed, scene, folder, at, torn=torn)).result()
            tally.finish(f"{scene.name}, {at} of {total}", partial(scene.end, folder))
    yield tally


def at_random_times(scenes: Sequence[Scene], work: Path, points: int) -> Iterator[Tally]:
    """Kill jobs after a random time."""
    tally, chance = Tally(scenes[0].engine.name, "a random time"), random.Random(1)  # noqa: S311
    for scene in scenes:
        whole = Child(partial(scene.run, scene.copy(work)))
        total = whole.polls()
        done(whole)
        for _ in range(points // len(scenes)):
            folder = scene.copy(work)
            job = Child(partial(scene.run, folder))
            after = job.polls(chance.randrange(total))
            job.kill()
            job.result()
            tally.finish(f"{scene.name}, {after} of {total}", partial(scene.end, folder))
    yield tally


def on_full_disks(scenes: Sequence[Scene], work: Path, points: int) -> Iterator[Tally]:
    """Let jobs fill small file systems, give these more room, and run the jobs again."""
    tally = Tally(scenes[0].engine.name, "a full disk")
    filling = Child(partial(_fill_disks, scenes, work, points, tally))
    tally_of_child = filling.result(_DISK_S * points)
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
    done(Child(partial(scene.run, folder)))
    after = _used(disk)
    disks.unmount(disk)
    reserve = 32 * 1024 if scene.engine.name.startswith("Qdrant") else 0
    return before + reserve, after + reserve + 256


def _used(disk: Path) -> int:
    return shutil.disk_usage(disk).used // 1024


def _armed(scene: Scene, folder: Path, at: int, *, torn: bool) -> None:
    preload.arm(folder, at, torn=torn)
    scene.run(folder)


def _calls(scene: Scene, work: Path) -> int:
    folder = scene.copy(work)

    def count() -> int:
        preload.arm(folder)
        scene.run(folder)
        return preload.calls()

    return int(done(Child(count)))


def done(child: Child) -> int:
    """Return the result of a job that nothing disturbs."""
    answer = child.result()
    if "result" not in answer:
        raise RuntimeError(f"the job fails where nothing disturbs it: {answer}")
    return int(answer["result"] or 0)


def evenly(total: int, points: int) -> list[int]:
    """Return numbers from 1 to a total, all of them if there are no more than points."""
    if total <= points:
        return list(range(1, total + 1))
    return [1 + number * total // points for number in range(points)]
