"""A progress bar on stderr, if that is a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from time import monotonic

from m3kit.ingest.files import SourceFile


@dataclass(frozen=True, slots=True)
class ProgressBar:
    """
    The progress of a command.

    Args:
        on_bytes: Called with the number of bytes just read.
        on_batch: Called with the number of documents done so far.
        display: Shows the bar while it is entered.
    """

    on_bytes: Callable[[int], object]
    on_batch: Callable[[int], None]
    display: AbstractContextManager[object]


def progress_bar(
    activity: str, sources: Sequence[SourceFile], *, enabled: bool = True
) -> ProgressBar:
    """Return a bar that shows how much of the sources is read, if stderr is a terminal."""
    if not (enabled and sys.stderr.isatty()):
        return ProgressBar(lambda _: None, lambda _: None, nullcontext())
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[done]} documents, {task.fields[rate]}/s"),
        TimeElapsedColumn(),
        TextColumn("remaining"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        redirect_stdout=False,
        transient=True,
    )
    sizes = [source.size for source in sources]
    total = None if None in sizes else sum(size or 0 for size in sizes)
    task = progress.add_task(activity, total=total, done=0, rate=0)
    started = monotonic()

    def on_batch(done: int) -> None:
        rate = round(done / max(monotonic() - started, 1e-3))
        progress.update(task, done=done, rate=rate)

    return ProgressBar(
        lambda count: progress.advance(task, count),
        on_batch,
        progress,
    )
