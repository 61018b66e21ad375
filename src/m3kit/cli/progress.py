"""A bar on stderr, for people who look at a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from m3kit.cli.sources import Source


@dataclass(frozen=True, slots=True)
class Bar:
    """
    How far a command is.

    Args:
        on_bytes: Told how many bytes more were read.
        on_batch: Told how many documents are done.
        shown: While it is entered, the bar is seen.
    """

    on_bytes: Callable[[int], object]
    on_batch: Callable[[int], None]
    shown: AbstractContextManager[object]


def bar(doing: str, sources: Sequence[Source], *, wanted: bool = True) -> Bar:
    """Make a bar that shows how far the sources are read, if stderr is a terminal."""
    if not (wanted and sys.stderr.isatty()):
        return Bar(lambda _: None, lambda _: None, nullcontext())
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[done]} documents"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        redirect_stdout=False,
        transient=True,
    )
    sizes = [source.size for source in sources]
    total = None if None in sizes else sum(size or 0 for size in sizes)
    task = progress.add_task(doing, total=total, done=0)
    return Bar(
        lambda count: progress.advance(task, count),
        lambda done: progress.update(task, done=done),
        progress,
    )
