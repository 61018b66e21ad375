"""The options of commands that read documents, and reading by them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Annotated, TypeAlias, TypeVar

import typer

from m3kit.cli.exit_codes import InputError
from m3kit.ingest.files import Sources
from m3kit.ingest.formats import Format, Split

_T = TypeVar("_T")

TEXT = ["text"]
"""The default of `--text-field`."""

Files: TypeAlias = Annotated[
    list[str],
    typer.Argument(
        metavar="FILE",
        show_default=False,
        help="Files of the formats below, folders of them, or - for stdin.",
    ),
]
FileFormat: TypeAlias = Annotated[
    Format | None,
    typer.Option(
        "--format",
        help="The format of every FILE; by default that of its suffix, and JSONL for stdin.",
    ),
]
TextField: TypeAlias = Annotated[
    list[str],
    typer.Option(
        "--text-field",
        metavar="NAME",
        help="The field of a record that has the text; repeated, they are joined.",
    ),
]
IdField: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        show_default=False,
        help="The field of a record that has the id; by default `id`, else file#number.",
    ),
]
SplitBy: TypeAlias = Annotated[
    Split | None,
    typer.Option(
        "--split",
        show_default=False,
        help="The documents of a text; by default paragraphs, sections or pages.",
    ),
]
Prefix: TypeAlias = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        show_default=False,
        help="Stands before the ids of documents without one: NAME/guide.md#1.",
    ),
]


def started(items: Iterator[_T], sources: Sources) -> Iterator[_T]:
    """
    Read the first item at once, so that no model is loaded if there is none.

    Raises:
        InputError: If there is none.
    """
    first = next(items, None)
    if first is None:
        names = ", ".join(file.location for file in sources.files)
        raise InputError(f"no document in {names}")
    return chain([first], items)
