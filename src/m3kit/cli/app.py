"""The commands: each reads its options, opens what it needs, and calls the library."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import m3kit
from m3kit._batching import batched
from m3kit._truncation import aggregate_warnings
from m3kit.cli import doctor as examining
from m3kit.cli import evaluate as evaluating
from m3kit.cli import evaluate_options, finetune_options, indexing, operating
from m3kit.cli import export as exporting
from m3kit.cli import finetune as finetuning
from m3kit.cli import help as help_texts
from m3kit.cli import mcp as agents
from m3kit.cli import mine as mining
from m3kit.cli import options as o
from m3kit.cli import playground as playing
from m3kit.cli import pretrain as pretraining
from m3kit.cli import reading as r
from m3kit.cli import serve as serving
from m3kit.cli.exit_codes import InputError, report_errors
from m3kit.cli.info import collect_info, to_rows
from m3kit.cli.opening import (
    DEFAULT_MODEL,
    add_missing_reps,
    check_encoder_reps,
    load_encoder,
    model_of,
    open_existing,
    with_colbert,
)
from m3kit.cli.printing import explanation_json, print_json, print_vectors, search_json
from m3kit.cli.progress import progress_bar
from m3kit.cli.stopping import restore_signals
from m3kit.explain import explain as explain_scores
from m3kit.explain import explanation_page
from m3kit.index import check_model
from m3kit.ingest.files import find_sources
from m3kit.ingest.sources import read_sources, strict
from m3kit.retriever import Retriever


class Commands(TyperGroup):
    """All commands; an error becomes one line and an exit code."""

    def make_context(self, *args: Any, **options: Any) -> Any:
        """Read the options before the command."""
        with report_errors():
            return super().make_context(*args, **options)

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        with report_errors():
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
    """Print the version or the help."""
    if ctx.invoked_subcommand != "index":  # which has its handlers of signals throughout
        restore_signals()
    if version:
        typer.echo(m3kit.__version__)
    elif ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())


@app.command(epilog=help_texts.ENCODE)
def encode(
    *,
    files: r.Files,
    model: o.Model = DEFAULT_MODEL,
    reps: o.Reps = None,
    queries: Annotated[bool, typer.Option("--queries", help="Encode as queries.")] = False,
    format_: r.FileFormat = None,
    text_field: r.TextField = r.TEXT,
    id_field: r.IdField = None,
    split: r.SplitBy = None,
    prefix: r.Prefix = "",
    batch: o.Batch = 128,
    device: o.Device = None,
) -> None:
    """Print the vectors of texts as JSON, a line for each."""
    chosen, sources = o.read_reps(reps), find_sources(files, format=format_, prefix=prefix)
    progress = progress_bar("encoding", sources.files, enabled=not sys.stdout.isatty())
    documents = strict(
        read_sources(
            sources,
            text_fields=text_field,
            id_field=id_field,
            split=split,
            on_bytes=progress.on_bytes,
        )
    )
    documents = r.started(documents, sources)
    encoder = load_encoder(model, device)
    check_encoder_reps(encoder, chosen or ())
    encode_texts = encoder.encode_queries if queries else encoder.encode_documents
    done = 0
    with progress.display, aggregate_warnings():
        for chunk in batched(documents, batch):
            outputs = encode_texts([document.text for document in chunk], chosen or encoder.reps)
            for document, output in zip(chunk, outputs, strict=True):
                print_vectors(document, output)
            progress.on_batch(done := done + len(chunk))


@app.command(epilog=help_texts.SEARCH)
def search(
    query: o.Query,
    *,
    in_: o.From,
    k: o.Hits = 10,
    where: o.Where = None,
    reps: o.Reps = None,
    fusion: o.FuseBy = o.FusionName.weighted,
    weights: o.Weights = None,
    candidates: o.Candidates = 100,
    group_by: o.GroupBy = None,
    group_size: o.GroupSize = 1,
    model: o.SearchModel = None,
    device: o.Device = None,
    as_json: o.AsJson = False,
) -> None:
    """Find the documents that answer a query."""
    chosen, conditions = o.read_reps(reps), o.read_where(where or [])
    groups = o.read_group_by(group_by)
    if groups is None and group_size > 1:
        raise typer.BadParameter("give --group-by with it", param_hint="--group-size")
    fused = o.read_fusion(fusion, weights)
    with open_existing(in_) as source:
        encoder = load_encoder(model or model_of(source), device)
        hits = Retriever(encoder, with_colbert(source, encoder, chosen)).search(
            query,
            k=k,
            where=conditions,
            reps=chosen,
            fusion=fused,
            candidates=candidates,
            with_scores=True,
            group_by=groups,
            group_size=group_size,
        )
    if as_json:
        print_json(search_json(query, encoder.model, hits))
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
    html: Annotated[
        Path | None,
        typer.Option(metavar="FILE", show_default=False, help="Write it as a page with pictures."),
    ] = None,
    as_json: o.AsJson = False,
) -> None:
    """Explain the scores of a document for a query."""
    with open_existing(in_) as source:
        encoder = load_encoder(model or model_of(source), device)
        check_model(source.model, encoder.model, f"the index at {in_}")
        records = source.get([id_], source.reps & encoder.reps)
    if not records:
        raise InputError(f"no document {id_!r} in {in_}; `m3kit search` shows ids")
    (record,), (encoded_query,) = records, encoder.encode_queries([query], encoder.reps)
    explanation = explain_scores(
        encoded_query,
        add_missing_reps(record, encoder),
        encoder.query_tokens(query),
        encoder.document_tokens(record.document.text),
    )
    if html is not None:
        page = explanation_page(
            explanation, query=query, document=record.document, model=encoder.model
        )
        html.write_text(page, encoding="utf-8")
    if as_json:
        print_json(explanation_json(query, id_, encoder.model, explanation))
    elif html is not None:
        typer.echo(f"wrote {html}")
    else:
        from m3kit.cli.tables import show_explanation

        show_explanation(explanation)


@app.command(epilog=help_texts.INFO)
def info(*, in_: o.MaybeFrom = None, as_json: o.AsJson = False) -> None:
    """Show what is installed, and what an index holds."""
    known = collect_info(in_)
    if as_json:
        print_json(known)
    else:
        from m3kit.cli.tables import show_rows

        show_rows(to_rows(known))


@app.command(epilog=help_texts.EXPORT)
def export(
    model: exporting.ModelArgument,
    folder: exporting.FolderArgument,
    *,
    precision: exporting.PrecisionOption = None,
) -> None:
    """Write a model for ONNX Runtime, which needs no PyTorch."""
    precisions = list(exporting.Precisions) if precision is None else [precision]
    for line in exporting.export(model, folder, precisions):
        typer.echo(line)


app.command(epilog=help_texts.INDEX)(indexing.index)
app.command(epilog=help_texts.DELETE)(operating.delete)
app.command("list", epilog=help_texts.LIST)(operating.list_)
app.command(epilog=help_texts.VERIFY)(operating.verify)
app.command(epilog=evaluate_options.HELP)(evaluating.evaluate)
app.command(epilog=evaluate_options.COMPARE_HELP)(evaluating.compare)
app.command(epilog=finetune_options.HELP)(finetuning.finetune)
app.command(epilog=finetune_options.HELP)(finetuning.finetune_reranker)
app.command(epilog=help_texts.SERVE)(serving.serve)
app.command(epilog=help_texts.MCP)(agents.mcp)
app.command(epilog=help_texts.PLAYGROUND)(playing.playground)
app.command()(examining.doctor)
app.command(epilog=help_texts.MINE)(mining.mine)
app.command(epilog=help_texts.SCORE)(mining.score)
app.command()(pretraining.pretrain)
