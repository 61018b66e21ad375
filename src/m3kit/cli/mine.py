"""`m3kit mine` and `m3kit score`: hard negatives for training data, and a teacher's scores."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from m3kit.cli import options as o
from m3kit.cli import reading as r
from m3kit.cli.exit_codes import InputError
from m3kit.cli.finetune import training_errors
from m3kit.cli.opening import DEFAULT_MODEL, load_encoder, load_reranker, open_existing
from m3kit.cli.progress import progress_bar
from m3kit.ingest.files import find_sources
from m3kit.ingest.sources import read_sources, strict
from m3kit.records import Document

if TYPE_CHECKING:
    from m3kit.training import Example, MiningOptions, MiningQuery


class Origin(StrEnum):
    """Where queries come from that are not given."""

    headings = "headings"
    spans = "spans"


Passages: TypeAlias = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[FILE]...",
        show_default=False,
        help="The passages: files and folders of the formats that `m3kit index` reads.",
    ),
]
Destination: TypeAlias = Annotated[
    Path, typer.Option("--to", metavar="FILE", show_default=False, help="The JSONL to write.")
]
Queries: TypeAlias = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="FILE",
        show_default=False,
        help="Training data, JSONL with query and pos; several times for several files.",
    ),
]
From: TypeAlias = Annotated[
    Origin | None,
    typer.Option(
        "--from",
        show_default=False,
        help="Without --queries: the headings of the passages, or spans taken out of them.",
    ),
]
In: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--in",
        metavar="DIR|URL",
        show_default=False,
        help="An index that holds the passages; by default those of FILE are ranked exactly.",
    ),
]
ModeName: TypeAlias = Annotated[
    str,
    typer.Option("--mode", metavar="NAME", help="dense, sparse, colbert, dense+sparse, all."),
]
Ranks: TypeAlias = Annotated[
    str, typer.Option("--range", metavar="FIRST-LAST", help="The ranks to draw from.")
]
Negatives: TypeAlias = Annotated[int, typer.Option(min=1, help="How many for each query.")]
Margin: TypeAlias = Annotated[
    float | None,
    typer.Option(
        show_default=False,
        help="Leave out what the reranker scores above the positive less this margin.",
    ),
]
Teacher: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--reranker",
        metavar="MODEL",
        show_default=False,
        help="A reranker, as BAAI/bge-reranker-v2-m3; its scores are written.",
    ),
]
Seed: TypeAlias = Annotated[int, typer.Option(help="Of what is drawn.")]
Examples: TypeAlias = Annotated[
    list[Path],
    typer.Argument(metavar="FILE", show_default=False, help="Training data, and folders of it."),
]
TeacherName: TypeAlias = Annotated[
    str, typer.Option("--reranker", metavar="MODEL", help="The teacher.")
]


def mine(
    passages: Passages = None,
    *,
    to: Destination,
    queries: Queries = None,
    from_: From = None,
    in_: In = None,
    model: o.Model = DEFAULT_MODEL,
    mode: ModeName = "dense",
    weights: o.Weights = None,
    ranks: Ranks = "10-210",
    negatives: Negatives = 15,
    reranker: Teacher = None,
    margin: Margin = None,
    seed: Seed = 0,
    format_: r.FileFormat = None,
    text_field: r.TextField = r.TEXT,
    id_field: r.IdField = None,
    split: r.SplitBy = None,
    batch: o.Batch = 128,
    device: o.Device = None,
) -> None:
    """Find hard negatives for training data."""
    with training_errors():
        from m3kit import training

        if margin is not None and reranker is None:
            raise typer.BadParameter("a margin needs --reranker", param_hint="--margin")
        if bool(queries) == bool(from_):
            raise typer.BadParameter(
                "give either --queries or --from", param_hint="--queries / --from"
            )
        if not passages and (in_ is None or from_):
            raise typer.BadParameter("give the files of the passages", param_hint="FILE")
        options = _options(mode, weights, ranks, negatives=negatives, margin=margin, seed=seed)
        if "-" in (passages or ()):
            raise InputError("passages are read twice, which stdin cannot be; give a file")
        sources = find_sources(passages or [], format=format_)
        progress = progress_bar("mining", sources.files)

        def corpus() -> Iterator[Document]:
            read = read_sources(
                sources,
                text_fields=text_field,
                id_field=id_field,
                split=split,
                on_bytes=progress.on_bytes,
            )
            return strict(read)

        wanted = _queries(queries or [], from_, corpus, seed)
        encoder = load_encoder(model, device)
        with ExitStack() as stack:
            stack.enter_context(progress.display)
            mined = training.mine(
                wanted,
                encoder,
                corpus if in_ is None else stack.enter_context(open_existing(in_)),
                options,
                teacher=None if reranker is None else load_reranker(reranker, device),
                batch_size=batch,
                on_batch=progress.on_batch,
            )
            counts = _Counts(negatives)
            written = training.write_examples(to, counts.watch(mined))
        typer.echo(f"wrote {written} examples to {to}{counts.summary()}")


def score(
    examples: Examples,
    *,
    to: Destination,
    reranker: TeacherName = "BAAI/bge-reranker-v2-m3",
    device: o.Device = None,
) -> None:
    """Add a reranker's scores to training data, for a teacher's loss."""
    with training_errors():
        from m3kit import training

        teacher = load_reranker(reranker, device)
        read = (example for path in examples for example in training.read_examples(path))
        written = training.write_examples(to, training.score(read, teacher))
        typer.echo(f"wrote {written} examples to {to}")


class _Counts:
    """Counts the examples that have fewer negatives than wanted."""

    def __init__(self, wanted: int) -> None:
        self._wanted = wanted
        self._few = 0

    def watch(self, examples: Iterable[Example]) -> Iterator[Example]:
        """Pass examples on."""
        for example in examples:
            self._few += len(example.neg) < self._wanted
            yield example

    def summary(self) -> str:
        """Return what to add to the command's last line."""
        if not self._few:
            return ""
        return f"; {self._few} of them have fewer than {self._wanted} negatives"


def _options(mode: str, weights: Path | None, ranks: str, **others: Any) -> MiningOptions:
    from m3kit.evaluation import MODES
    from m3kit.training import MiningOptions

    if mode not in MODES:
        raise typer.BadParameter(f"write one of {', '.join(MODES)}", param_hint="--mode")
    chosen = MODES[mode]
    try:
        if weights is not None:
            chosen = replace(chosen, fusion=o.read_weights(weights))
        first, last = map(int, ranks.split("-"))
        return MiningOptions(mode=chosen, first=first, last=last, **others)
    except (TypeError, ValueError) as error:
        raise typer.BadParameter(str(error), param_hint="--range") from error


def _queries(
    files: Iterable[Path],
    origin: Origin | None,
    corpus: Callable[[], Iterator[Document]],
    seed: int,
) -> Iterator[MiningQuery]:
    from m3kit import training

    match origin:
        case None:
            read = (example for file in files for example in training.read_examples(file))
            return training.from_examples(read)
        case Origin.headings:
            return training.from_headings(corpus())
        case Origin.spans:
            return training.from_spans(corpus(), seed=seed)
