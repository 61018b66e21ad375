"""`m3kit delete | list | verify`: the documents of an index."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from m3kit import ingest
from m3kit.cli import options as o
from m3kit.cli import passages as p
from m3kit.cli import reading as r
from m3kit.cli.exit_codes import Code, InputError
from m3kit.cli.opening import model_of, open_existing
from m3kit.cli.printing import print_json
from m3kit.cli.terminal import to_line
from m3kit.index import HybridIndex

_MEANINGS = {
    "doubled": "in the index more than once",
    "missing": "in the ledger, and not in the index",
    "changed": "in the index with another text or metadata than was written",
    "pending": "begun by a run that has not ended",
    "outdated": "new or edited in the source",
    "vanished": "no longer in the source",
    "unknown": "in the index, and neither in the ledger nor in the source",
    "rejected": "cannot be read from the source",
}


def delete(
    ids: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="ID", show_default=False, help="Documents, or - for a line each on stdin."
        ),
    ] = None,
    *,
    in_: o.From,
    where: o.Where = None,
    ledger: o.LedgerFile = None,
    as_json: o.AsJson = False,
) -> None:
    """Delete documents by id or by conditions; a later `index` writes those still in a source."""
    conditions = o.read_where(where or [])
    if not ids and conditions is None:
        raise typer.BadParameter("give ids, or conditions with --where", param_hint="ID")
    named = [id_ for given in ids or () for id_ in (_lines() if given == "-" else [given])]
    with open_existing(in_) as index, _existing_ledger(index, ledger) as opened:
        deleted = ingest.delete(index, named, where=conditions, ledger=opened)
        count = index.count()
    if as_json:
        print_json({"index": in_, "deleted": deleted, "count": count})
    else:
        noun = "document" if deleted == 1 else "documents"
        typer.echo(f"deleted {deleted} {noun} from {in_}, which holds {count} now")


def list_(
    *,
    in_: o.From,
    where: o.Where = None,
    limit: Annotated[
        int | None,
        typer.Option("-n", min=1, metavar="N", show_default=False, help="At most so many."),
    ] = None,
    sources: Annotated[
        bool, typer.Option("--sources", help="The files of the ledger, with their documents.")
    ] = False,
    ledger: o.LedgerFile = None,
    as_json: o.AsJson = False,
) -> None:
    """List the ids of the documents in an index, a line each."""
    conditions = o.read_where(where or [])
    with open_existing(in_) as index:
        if sources:
            with _existing_ledger(index, ledger) as opened:
                if opened is None:
                    raise InputError(f"{in_} has no ledger; give its file with --ledger")
                for source, count in opened.sources().items():
                    _print_source(source, count, as_json=as_json)
            return
        for record in islice(index.scan(conditions), limit):
            document = record.document
            if as_json:
                fields = {"id": document.id, "text": document.text, "metadata": document.metadata}
                print_json(fields)
            else:
                typer.echo(to_line(document.id))


def verify(
    files: Annotated[
        list[str] | None,
        typer.Argument(metavar="FILE", show_default=False, help="The sources of the index."),
    ] = None,
    *,
    in_: o.From,
    format_: r.FileFormat = None,
    text_field: r.TextField = r.TEXT,
    id_field: r.IdField = None,
    split: r.SplitBy = None,
    prefix: r.Prefix = "",
    chunk: p.Chunk = None,
    chunk_overlap: p.ChunkOverlap = 0,
    model: o.SearchModel = None,
    ledger: o.LedgerFile = None,
    as_json: o.AsJson = False,
) -> None:
    """Compare an index with its ledger, and with its sources if they are given."""
    chunking = p.Chunking(chunk, chunk_overlap)
    sources = ingest.find_sources(files, format=format_, prefix=prefix) if files else None
    with open_existing(in_) as index, _existing_ledger(index, ledger) as opened:
        if opened is None and sources is None:
            raise InputError(f"{in_} has no ledger; give its file with --ledger, or its sources")
        documents = None
        if sources is not None:
            items = ingest.read_sources(
                sources,
                text_fields=text_field,
                id_field=id_field,
                split=chunking.split(split),
            )
            documents = (
                items if chunk is None else chunking.passages(items, model or model_of(index))
            )
        report = ingest.verify(index, ledger=opened, documents=documents)
    if as_json:
        print_json(report.to_json())
    else:
        _print_report(report, in_)
    if not report.ok:
        raise typer.Exit(Code.INDEX)


@contextmanager
def _existing_ledger(index: HybridIndex, path: Path | None) -> Iterator[ingest.Ledger | None]:
    place = path or ingest.ledger_path(index)
    if path is not None and not path.exists():
        raise InputError(f"{path}: there is no such ledger")
    if place is None or not place.exists():
        yield None
        return
    with ingest.Ledger(place, index) as ledger:
        yield ledger


def _lines() -> Iterator[str]:
    return (line.rstrip("\n") for line in sys.stdin if line.strip())


def _print_source(source: str, count: int, *, as_json: bool) -> None:
    if as_json:
        print_json({"source": source, "documents": count})
    else:
        typer.echo(f"{count:>8}  {to_line(source)}")


def _print_report(report: ingest.Verification, address: str) -> None:
    verdict = "is as it should be" if report.ok else "differs"
    typer.echo(f"{address} holds {report.documents} documents and {verdict}")
    for name, difference in report.differences():
        if difference.count:
            more = ", …" if difference.count > len(difference.examples) else ""
            examples = to_line(", ".join(difference.examples))
            typer.echo(f"{difference.count:>8} {name}: {_MEANINGS[name]}: {examples}{more}")
