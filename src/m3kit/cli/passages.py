"""The options of commands that split documents into passages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from m3kit.cli.exit_codes import InputError, ModelError
from m3kit.index import M3Error
from m3kit.ingest.documents import Item
from m3kit.ingest.formats import Split

if TYPE_CHECKING:
    from m3kit.cli.opening import AnyEncoder

Chunk: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--chunk",
        min=16,
        metavar="TOKENS",
        show_default=False,
        help="Split documents into passages of at most so many tokens; by default they stay whole.",
    ),
]
ChunkOverlap: TypeAlias = Annotated[
    int,
    typer.Option(
        "--chunk-overlap",
        min=0,
        metavar="TOKENS",
        help="At most so many tokens of a passage are repeated by the next.",
    ),
]


@dataclass(frozen=True, slots=True)
class Chunking:
    """
    How documents are split.

    Args:
        tokens: The most tokens of a passage; None leaves documents whole.
        overlap: The most tokens that two passages share.

    Raises:
        typer.BadParameter: If they do not go together.
    """

    tokens: int | None
    overlap: int

    def __post_init__(self) -> None:
        if self.overlap > (self.tokens or 0) // 2:
            half = "half of --chunk" if self.tokens else "0 without --chunk"
            raise typer.BadParameter(
                f"{self.overlap} is more than {half}", param_hint="--chunk-overlap"
            )

    @property
    def name(self) -> str:
        """What a ledger has to tell it from another way; empty if documents stay whole."""
        return "" if self.tokens is None else f"chunk={self.tokens},overlap={self.overlap}"

    def split(self, split: Split | None) -> Split | None:
        """Return how texts are read: files are split as a whole, if nothing else is asked for."""
        return split or (None if self.tokens is None else Split.file)

    def passages(self, items: Iterator[Item], encoder: AnyEncoder | str) -> Iterator[Item]:
        """
        Split documents by the tokens of a model, which is an encoder or a name.

        Raises:
            ModelError: If the model's tokenizer cannot be loaded.
            InputError: If the package that splits is not installed.
            typer.BadParameter: If passages could be longer than the model reads.
        """
        if self.tokens is None:
            return items
        try:
            from m3kit.ingest.chunking import chunk, load_tokenizer
        except ModuleNotFoundError as error:
            raise InputError(f"--chunk needs {error.name}: pip install 'm3kit[ingest]'") from error
        limit = getattr(encoder, "document_max_length", self.tokens)
        if self.tokens > limit:
            raise typer.BadParameter(
                f"{self.tokens} is more than the {limit} tokens that the model reads",
                param_hint="--chunk",
            )
        tokenizer = getattr(encoder, "tokenizer", None)  # a server keeps its own
        if tokenizer is None:
            name = encoder if isinstance(encoder, str) else encoder.model.rpartition("@")[0]
            try:
                tokenizer = load_tokenizer(name)
            except M3Error as error:
                raise ModelError(f"--chunk counts the model's tokens: {error}") from error
        return chunk(items, tokens=self.tokens, overlap=self.overlap, tokenizer=tokenizer)
