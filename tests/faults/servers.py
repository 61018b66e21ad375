"""Disturbing a server, a job that writes to it, and their connections."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from threading import Thread
from time import sleep

from tests.faults import preload
from tests.faults.children import Child
from tests.faults.engines import free_port, start_server, tcp
from tests.faults.harness import Tally, done, evenly
from tests.faults.job import compare, run_job
from tests.faults.proxy import FAULTS, Proxy

_REPORT_S = 0.1


def of_the_server(source: Path, work: Path, points: int, *, at_operations: bool) -> Iterator[Tally]:
    """Kill a job's server and start it again; the job goes on, or is run again."""
    kind = "the server, at a file operation" if at_operations else "the server, at a random time"
    tally, chance = Tally(tcp(0).name, kind), random.Random(2)  # noqa: S311
    polls, total = _undisturbed(source, work)
    for at in evenly(total, points) if at_operations else _times(chance, polls, points):
        data, port = _clean(work) / "data", free_port()
        before = partial(preload.arm, data, at) if at_operations else _nothing
        server = start_server(data, port, before)
        job = Child(partial(run_job, tcp(port), work, source))
        if not at_operations:
            job.polls(at)
            server.kill()
        while job.is_alive():
            if not server.is_alive():
                server = start_server(data, port)
            job.polls(1)
        job.result()
        _stop(server)
        server = start_server(data, port)  # which nothing kills
        of_total = total if at_operations else polls
        tally.finish(f"{at} of {of_total}", partial(_end, port, work, source))
        _stop(server)
    yield tally


def of_the_client(source: Path, work: Path, points: int) -> Iterator[Tally]:
    """Kill jobs that write to a server, at random times."""
    tally, chance = Tally(tcp(0).name, "a random time"), random.Random(4)  # noqa: S311
    polls, _ = _undisturbed(source, work)
    for after in _times(chance, polls, points):
        data, port = _clean(work) / "data", free_port()
        server = start_server(data, port)
        job = Child(partial(run_job, tcp(port), work, source))
        job.polls(after)
        job.kill()
        job.result()
        tally.finish(f"{after} of {polls}", partial(_end, port, work, source))
        _stop(server)
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
        _stop(proxy)
        _stop(server)
    yield tally


def _serve(front: int, port: int, fault: str, after: int) -> None:
    Proxy(front, port, fault, after).serve()  # type: ignore[arg-type]  # one of FAULTS


def _end(port: int, work: Path, source: Path) -> dict[str, list[str]]:
    run_job(tcp(port), work, source)
    return compare(tcp(port), work, source)


def _undisturbed(source: Path, work: Path) -> tuple[int, int]:
    """Return how many polls a job takes, and how often the server changes its files meanwhile."""
    data, port = _clean(work) / "data", free_port()
    counted = work / "calls"
    server = start_server(data, port, partial(_report_calls, data, counted))
    job = Child(partial(run_job, tcp(port), work, source))
    polls = job.polls()
    done(job)
    sleep(2 * _REPORT_S)
    _stop(server)
    return polls, int(counted.read_text("ascii")) if counted.exists() else 0


def _times(chance: random.Random, polls: int, points: int) -> list[int]:
    return [chance.randrange(polls) for _ in range(points)]


def _stop(process: Child) -> None:
    process.kill()
    process.result()


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


def _nothing() -> None:
    """Do nothing before a server starts."""
