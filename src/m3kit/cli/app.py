"""The commands: each reads its options, opens what it needs, and hands the rest on."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import m3kit
from m3kit._batching import batched
from m3kit._truncation import aggregate_warnings
from m3kit.cli import doctor as examining
from m3kit.cli import export as exporting
from m3kit.cli import help as help_texts
from m3kit.cli import options as o
from m3kit.cli import serve as serving
from m3kit.cli.exit_codes import InputError, ending
from m3kit.cli.info import facts, told
from m3kit.cli.opening import (
    DEFAULT_MODEL,
    check_gives,
    completed,
    load_encoder,
    made_by,
    opened,
    opened_for,
    with_colbert,
)
from m3kit.cli.printing import of_explanation, of_search, print_json, print_vectors
from m3kit.cli.progress import bar
from m3kit.cli.reading import Reading, Split
from m3kit.cli.repeats import Repeats
from m3kit.cli.sources import Source, sources
from m3kit.explain import explain as taken_apart
from m3kit.fusion import RRF, WeightedSum
from m3kit.index import check_model
from m3kit.records import Document
from m3kit.retriever import Retriever


class Commands(TyperGroup):
    """All commands, whose errors end as one line and an exit code."""

    def make_context(self, *args: Any, **options: Any) -> Any:
        """Read the options that stand before the command."""
        with ending():
            return super().make_context(*args, **options)

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        with ending():
            return super().invoke(ctx)


app = typer.Typer(
    cls=Commands,
    name="m3kit",
    help="Encode texts with BGE-M3, and search them by dense, sparse and ColBERT vectors.",
    epilog=help_texts.EXIT_CODES,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


@app.callback(invoke_without_command=True)
def start(
    ctx: typer.Context,
    *,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Say the version, or what there is to say."""
    if version:
        typer.echo(m3kit.__version__)
    elif ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())


@app.command(epilog=help_texts.ENCODE)
def encode(
    *,
    files: o.Files,
    model: o.Model = DEFAULT_MODEL,
    reps: o.Reps = None,
    queries: Annotated[bool, typer.Option("--queries", help="Encode as queries.")] = False,
    format_: o.FileFormat = None,
    text_field: o.TextField = "text",
    id_field: o.IdField = "id",
    split: o.SplitBy = Split.paragraphs,
    batch: o.Batch = 128,
    device: o.Device = None,
) -> None:
    """Print the vectors of texts as JSON, a line for each."""
    asked, found = o.read_reps(reps), sources(files, format_)
    progress = bar("encoding", found, wanted=not sys.stdout.isatty())
    reading = Reading(
        text_field=text_field, id_field=id_field, split=split, on_bytes=progress.on_bytes
    )
    documents = _some(reading, found)
    encoder = load_encoder(model, device)
    check_gives(encoder, asked or ())
    encoded = encoder.encode_queries if queries else encoder.encode_documents
    done = 0
    with progress.shown, aggregate_warnings():
        for some in batched(documents, batch):
            outputs = encoded([document.text for document in some], asked or encoder.reps)
            for document, output in zip(some, outputs, strict=True):
                print_vectors(document, output)
            progress.on_batch(done := done + len(some))


@app.command(epilog=help_texts.INDEX)
def index(
    *,
    files: o.Files,
    to: Annotated[
        str,
        typer.Option(metavar="DIR|URL", show_default=False, help="The index, made if need be."),
    ],
    model: o.Model = DEFAULT_MODEL,
    reps: o.Reps = None,
    format_: o.FileFormat = None,
    text_field: o.TextField = "text",
    id_field: o.IdField = "id",
    split: o.SplitBy = Split.paragraphs,
    batch: o.Batch = 128,
    device: o.Device = None,
) -> None:
    """Encode documents and write them to an index."""
    asked, found, repeats = o.read_reps(reps), sources(files, format_), Repeats()
    progress = bar("indexing", found)
    reading = Reading(
        text_field=text_field, id_field=id_field, split=split, on_bytes=progress.on_bytes
    )
    documents = repeats.watch(_some(reading, found))
    encoder = load_encoder(model, device)
    with progress.shown, opened_for(encoder, to, asked) as target:
        retriever = Retriever(encoder, target)
        written = retriever.add(documents, batch_size=batch, on_batch=progress.on_batch)
        count = target.count()
    repeats.log()
    noun = "document" if written == 1 else "documents"
    typer.echo(f"wrote {written} {noun} to {to}, which holds {count} now")


@app.command(epilog=help_texts.SEARCH)
def search(
    query: o.Query,
    *,
    in_: o.From,
    k: o.Hits = 10,
    where: o.Where = None,
    reps: o.Reps = None,
    fusion: o.FuseBy = o.FusionName.rrf,
    model: o.SearchModel = None,
    device: o.Device = None,
    as_json: o.AsJson = False,
) -> None:
    """Find the documents that answer a query."""
    asked, conditions = o.read_reps(reps), o.read_where(where or [])
    with opened(in_) as source:
        encoder = load_encoder(model or made_by(source), device)
        hits = Retriever(encoder, with_colbert(source, encoder, asked)).search(
            query,
            k=k,
            where=conditions,
            reps=asked,
            fusion=RRF() if fusion is o.FusionName.rrf else WeightedSum(),
            with_scores=True,
        )
    if as_json:
        print_json(of_search(query, encoder.model, hits))
    elif hits:
        from m3kit.cli.tables import show_hits

        show_hits(hits)
    else:
        typer.echo("nothing found" + (" under these conditions" if where else ""))


@app.command(epilog=help_texts.EXPLAIN)
def explain(
    query: o.Query,
    *,
    in_: o.From,
    id_: Annotated[
        str, typer.Option("--id", metavar="ID", show_default=False, help="The document.")
    ],
    model: o.SearchModel = None,
    device: o.Device = None,
    as_json: o.AsJson = False,
) -> None:
    """Say why a document answers a query."""
    with opened(in_) as source:
        encoder = load_encoder(model or made_by(source), device)
        check_model(source.model, encoder.model, f"the index at {in_}")
        records = source.get([id_], source.reps & encoder.reps)
    if not records:
        raise InputError(f"no document {id_!r} in {in_}; `m3kit search` shows ids")
    (record,), (asked,) = records, encoder.encode_queries([query], encoder.reps)
    explanation = taken_apart(
        asked,
        completed(record, encoder),
        encoder.query_tokens(query),
        encoder.document_tokens(record.document.text),
    )
    if as_json:
        print_json(of_explanation(query, id_, encoder.model, explanation))
    else:
        from m3kit.cli.tables import show_explanation

        show_explanation(explanation)


@app.command(epilog=help_texts.INFO)
def info(*, in_: o.MaybeFrom = None, as_json: o.AsJson = False) -> None:
    """Say what is installed, and what an index holds."""
    known = facts(in_)
    if as_json:
        print_json(known)
    else:
        from m3kit.cli.tables import show_facts

        show_facts(told(known))


@app.command(epilog=help_texts.EXPORT)
def export(
    model: exporting.ModelArgument,
    folder: exporting.FolderArgument,
    *,
    precision: exporting.PrecisionOption = None,
) -> None:
    """Write a model for ONNX Runtime, which needs no PyTorch."""
    wanted = list(exporting.Precisions) if precision is None else [precision]
    for line in exporting.export(model, folder, wanted):
        typer.echo(line)


app.command(epilog=help_texts.SERVE)(serving.serve)
app.command()(examining.doctor)


def _some(reading: Reading, found: Sequence[Source]) -> Iterator[Document]:
    """Read ahead by one document, so that nothing is loaded for nothing."""
    documents = reading.documents(found)
    first = next(documents, None)
    if first is None:
        raise InputError(f"no document in {', '.join(source.name for source in found)}")
    return chain([first], documents)
