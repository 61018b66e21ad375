"""Any number of texts in, their M3 outputs out, in order: the encoder over any backend."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence, Sized
from dataclasses import replace

from m3kit.backend.pipeline import Kind, Pipeline
from m3kit.backend.reloading import Reloadable
from m3kit.backend.tokenizer import TextTokenizer, Tokens
from m3kit.index import RepresentationError
from m3kit.vectors import REPS, Ints, M3Output, Rep


class TextEncoder(Reloadable):
    """
    An `m3kit.Encoder` over a backend's model.

    Args:
        name: The value of `model`: the checkpoint's name and a hash of its content.
        pipeline: The model with its tokenizer.
        queries: How queries are encoded.
        documents: How documents are encoded.
    """

    def __init__(self, name: str, pipeline: Pipeline, *, queries: Kind, documents: Kind) -> None:
        self._name = name
        self._pipeline = pipeline
        self._queries = queries
        self._documents = documents

    @property
    def model(self) -> str:
        """The checkpoint's name and a hash of its content: `"BAAI/bge-m3@5617a9f6"`."""
        return self._name

    @property
    def dim(self) -> int:
        """Width of the dense vector."""
        return self._pipeline.model.width

    @property
    def reps(self) -> frozenset[Rep]:
        """All three, or dense alone for a checkpoint without heads."""
        return self._pipeline.model.reps

    def encode_queries(
        self,
        texts: Sequence[str],
        reps: Collection[Rep] | None = None,
        *,
        max_length: int | None = None,
    ) -> list[M3Output]:
        """
        Encode queries, with the query instruction, computing only `reps`.

        Args:
            texts: A list of str.
            reps: What to compute; by default all that the model makes.
            max_length: Tokens of a text, special ones included; by default the encoder's limit.

        Raises:
            RepresentationError: If the model lacks one of `reps`.
            TypeError: If `texts` is not a list of str.
        """
        return self._encode_all(texts, reps, _limited(self._queries, max_length))

    def encode_documents(
        self,
        texts: Sequence[str],
        reps: Collection[Rep] | None = None,
        *,
        max_length: int | None = None,
    ) -> list[M3Output]:
        """
        Encode documents, computing only `reps`.

        Args:
            texts: A list of str.
            reps: What to compute; by default all that the model makes.
            max_length: Tokens of a text, special ones included; by default the encoder's limit.

        Raises:
            RepresentationError: If the model lacks one of `reps`.
            TypeError: If `texts` is not a list of str.
        """
        return self._encode_all(texts, reps, _limited(self._documents, max_length))

    def encode(
        self,
        texts: Iterable[str],
        reps: Collection[Rep] | None = None,
        *,
        max_length: int | None = None,
        instruction: str = "",
    ) -> Iterator[M3Output]:
        """
        Encode any number of texts as they are read, in order, in bounded memory.

        Some thousand tokens are read ahead (eight times `batch_tokens`), and sorted by length.

        Args:
            texts: Read once, as far as needed.
            reps: What to compute; by default all that the model makes.
            max_length: Tokens of a text, special ones included; by default as for documents.
            instruction: A prefix of every text.

        Raises:
            RepresentationError: If the model lacks one of `reps`.
            TypeError: If `texts` is one str; later, if one of them is not a str.
        """
        chosen = self._check(texts, reps)
        if max_length is None:
            max_length = self._documents.max_length
        kind = Kind("max_length", max_length, instruction)
        total = len(texts) if isinstance(texts, Sized) else None
        return self._pipeline(_texts(texts), chosen, kind, total=total)

    @property
    def query_max_length(self) -> int:
        """Tokens that a query may have, special ones included."""
        return self._pipeline.limit(self._queries)

    @property
    def document_max_length(self) -> int:
        """Tokens that a document may have, special ones included."""
        return self._pipeline.limit(self._documents)

    @property
    def tokenizer(self) -> TextTokenizer:
        """The tokenizer of the model."""
        return self._pipeline.tokenizer

    @property
    def batch_tokens(self) -> int:
        """Tokens in one forward pass."""
        return self._pipeline.batch_tokens

    @property
    def lanes(self) -> int:
        """How many forward passes are best under way at once."""
        return max(1, self._pipeline.lanes)

    def query_ids(self, texts: Sequence[str], *, max_length: int | None = None) -> list[Tokens]:
        """Return the ids of each query, its instruction and special tokens among them."""
        return self._pipeline.tokenized(texts, _limited(self._queries, max_length))

    def document_ids(self, texts: Sequence[str], *, max_length: int | None = None) -> list[Tokens]:
        """Return the ids of each document, as `query_ids` does of a query."""
        return self._pipeline.tokenized(texts, _limited(self._documents, max_length))

    def encode_ids(self, texts: Sequence[Ints], reps: Collection[Rep]) -> list[M3Output]:
        """
        Encode the ids of some texts in one forward pass, whatever their number.

        Args:
            texts: What `query_ids` and `document_ids` give; neighbours of one length cost least.
            reps: What to compute.
        """
        return self._pipeline.model(texts, reps)

    def query_tokens(self, text: str) -> list[tuple[int, str]]:
        """
        Return id and text of each token of a query, as the model reads it.

        The instruction and both special tokens are included, truncated tokens are not. Row `i` of
        the ColBERT vectors belongs to token `i + 1`.
        """
        return self._pipeline.tokens(text, self._queries)

    def document_tokens(self, text: str) -> list[tuple[int, str]]:
        """Return id and text of each token of a document, as `query_tokens` does of a query."""
        return self._pipeline.tokens(text, self._documents)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._name!r})"

    def _encode_all(
        self, texts: Sequence[str], reps: Collection[Rep] | None, kind: Kind
    ) -> list[M3Output]:
        chosen = self._check(texts, reps)
        checked = list(_texts(texts))
        return list(self._pipeline(checked, chosen, kind, total=len(checked)))

    def _check(self, texts: Iterable[str], reps: Collection[Rep] | None) -> Collection[Rep]:
        if isinstance(texts, str | bytes):
            raise TypeError(f"give a list of texts, not one {type(texts).__name__}: [text]")
        if reps is None:
            return self.reps
        if isinstance(reps, str) or not reps:
            raise RepresentationError(
                f'reps are at least one of {REPS} in a tuple, ("dense",), not {reps!r}'
            )
        if missing := [str(rep) for rep in reps if rep not in self.reps]:
            raise RepresentationError(
                f"{self._name} does not make {', '.join(missing)}; pass reps=encoder.reps, which "
                f"is {', '.join(rep for rep in REPS if rep in self.reps)}"
            )
        return reps


def _limited(kind: Kind, max_length: int | None) -> Kind:
    return kind if max_length is None else replace(kind, option="max_length", max_length=max_length)


def _texts(texts: Iterable[str]) -> Iterator[str]:
    for position, text in enumerate(texts):
        if not isinstance(text, str):
            raise TypeError(f"texts[{position}] is a {type(text).__name__}, not a str")
        yield text
