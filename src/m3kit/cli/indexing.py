"""`m3kit index`: sources into an index, which follows them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from m3kit import ingest
from m3kit.cli import optimize as optimizing
from m3kit.cli import options as o
from m3kit.cli import passages as p
from m3kit.cli import reading as r
from m3kit.cli.exit_codes import Code, InputError
from m3kit.cli.opening import DEFAULT_MODEL, load_encoder, open_for_writing
from m3kit.cli.printing import print_json
from m3kit.cli.progress import progress_bar
from m3kit.cli.stopping import stopping_at_once
from m3kit.encoder import Encoder
from m3kit.index import HasSidecar, HybridIndex
from m3kit.ingest.repeats import RepeatedIds

_log = logging.getLogger(__name__)


class Engine(StrEnum):
    """What encodes and writes."""

    local = "local"
    ray = "ray"


def index(
    *,
    files: r.Files,
    to: Annotated[
        str,
        typer.Option(metavar="DIR|URL", show_default=False, help="The index, created if missing."),
    ],
    model: o.Model = DEFAULT_MODEL,
    reps: o.Reps = None,
    format_: r.FileFormat = None,
    text_field: r.TextField = r.TEXT,
    id_field: r.IdField = None,
    split: r.SplitBy = None,
    prefix: r.Prefix = "",
    chunk: p.Chunk = None,
    chunk_overlap: p.ChunkOverlap = 0,
    batch: o.Batch = 128,
    device: o.Device = None,
    ledger: o.LedgerFile = None,
    prune: Annotated[
        bool, typer.Option("--prune", help="Delete what these FILEs have no more.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Stop at the first document that is rejected.")
    ] = False,
    moved: Annotated[
        bool,
        typer.Option(
            "--moved", help="FILEs take the place of others of the same names that are still there."
        ),
    ] = False,
    rejects: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            show_default=False,
            help="Where rejects are written; by default beside an index in files.",
        ),
    ] = None,
    engine: Annotated[
        Engine,
        typer.Option(help="local: this process; ray: the workers of a cluster, into a server."),
    ] = Engine.local,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1, show_default=False, help="Of a cluster; by default one for each GPU or core."
        ),
    ] = None,
    optimize: Annotated[
        bool, typer.Option("--optimize", help="Then build a graph, as `m3kit optimize` does.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress and no summary.")] = False,
    as_json: o.AsJson = False,
) -> None:
    """Encode documents and write them to an index; what did not change is skipped."""
    with stopping_at_once():
        chosen, chunking = o.read_reps(reps), p.Chunking(chunk, chunk_overlap)
        sources = ingest.find_sources(files, format=format_, prefix=prefix)
        progress = progress_bar("indexing", sources.files, enabled=not quiet)
        items = ingest.read_sources(
            sources,
            text_fields=text_field,
            id_field=id_field,
            split=chunking.split(split),
            on_bytes=progress.on_bytes,
        )
        items = r.started(items, sources)
        repeats = RepeatedIds()
        encoder = load_encoder(model, device)
        with (
            progress.display,
            open_for_writing(encoder, to, chosen) as target,
            _ledger_of(target, ledger, to, prune=prune) as opened,
            ingest.RejectsFile(rejects or _rejects_path(target)) as rejected,
            ingest.stop_signals(),
        ):
            passages = chunking.passages(items, encoder)
            summary = _synchronize(engine, partial(load_encoder, model, device), to, workers)(
                encoder,
                target,
                passages if opened else repeats.watch(passages),
                ledger=opened,
                chunking=chunking.name,
                prune=prune,
                strict=strict,
                moved=moved,
                rejects=rejected,
                batch_size=batch,
                on_progress=lambda done: progress.on_batch(done.read),
            )
            count = target.count()
            optimized = optimizing.run(target, to) if optimize else None
    repeats.log()
    if as_json:
        path = rejected.path if rejected.count else None
        print_json(
            {"index": to, "count": count, **summary.to_json(), "rejects": path and str(path)}
        )
    elif not quiet:
        typer.echo(_sentence(summary, to, count))
        if optimized is not None:
            typer.echo(optimized)
    if rejected.count:
        _log.warning("%s", _rejected(rejected))
        raise typer.Exit(Code.INPUT)


def _synchronize(
    engine: Engine, load: Callable[[], Encoder], address: str, workers: int | None
) -> Callable[..., ingest.Summary]:
    """Return what indexes."""
    if engine is Engine.local:
        return ingest.sync
    try:
        from m3kit.ingest.on_ray import Workers, sync_on_ray
    except ModuleNotFoundError as error:
        raise InputError(
            f"a cluster needs {error.name}, which is not installed: pip install 'm3kit[ray]'"
        ) from error
    return partial(sync_on_ray, load, address=address, workers=Workers(count=workers))


@contextmanager
def _ledger_of(
    index: HybridIndex, path: Path | None, address: str, *, prune: bool
) -> Iterator[ingest.Ledger | None]:
    place = path or ingest.ledger_path(index)
    if place is None:
        if prune:
            raise typer.BadParameter(
                f"{address} is on a server; give the file of its ledger with --ledger",
                param_hint="--prune",
            )
        yield None
        return
    with ingest.Ledger(place, index) as ledger:
        yield ledger


def _rejects_path(index: HybridIndex) -> Path | None:
    sidecar = index.sidecar if isinstance(index, HasSidecar) else None
    return None if sidecar is None else sidecar.with_name(f"{sidecar.name}.rejects.jsonl")


def _sentence(summary: ingest.Summary, address: str, count: int) -> str:
    noun = "document" if summary.written == 1 else "documents"
    others = {
        "unchanged": summary.unchanged,
        "with new metadata alone": summary.rewritten,
        "deleted": summary.deleted,
        "rejected": summary.rejected,
        "recovered": summary.recovered,
    }
    details = ", ".join(f"{number} {what}" for what, number in others.items() if number)
    more = f" ({details})" if details else ""
    return f"wrote {summary.written} {noun} to {address}, which holds {count} now{more}"


def _rejected(rejects: ingest.RejectsFile) -> str:
    noun = "was" if rejects.count == 1 else "were"
    where = f"see {rejects.path}" if rejects.path else "write them to a file with --rejects"
    return f"{rejects.count} {noun} rejected, {where}; the first: {rejects.examples[0]}"
