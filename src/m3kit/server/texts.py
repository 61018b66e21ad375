"""From the texts of a request to what the model computes, and how much of it there is."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias, cast, runtime_checkable

from m3kit.encoder import Encoder
from m3kit.server.errors import invalid
from m3kit.vectors import Ints, M3Output, Rep

Kind: TypeAlias = Literal["document", "query"]
"""What a text is."""

_CHARACTERS = 3
"""Of a token, where there is no tokenizer to ask."""


class _Tokens(Protocol):
    @property
    def ids(self) -> Ints: ...
    @property
    def full(self) -> int: ...


@runtime_checkable
class TokenEncoder(Protocol):
    """An encoder that computes token ids, as `m3kit.torch.TorchEncoder` does."""

    @property
    def batch_tokens(self) -> int:
        """Tokens in one forward pass."""
        ...

    @property
    def lanes(self) -> int:
        """How many forward passes are best under way at once."""
        ...

    @property
    def query_max_length(self) -> int:
        """Tokens that a query may have."""
        ...

    @property
    def document_max_length(self) -> int:
        """Tokens that a document may have."""
        ...

    def query_ids(
        self, texts: Sequence[str], *, max_length: int | None = None
    ) -> Sequence[_Tokens]:
        """Return the ids of each query."""
        ...

    def document_ids(
        self, texts: Sequence[str], *, max_length: int | None = None
    ) -> Sequence[_Tokens]:
        """Return the ids of each document."""
        ...

    def encode_ids(self, texts: Sequence[Ints], reps: Collection[Rep]) -> list[M3Output]:
        """Encode the ids of some texts in one forward pass."""
        ...

    def query_tokens(self, text: str) -> list[tuple[int, str]]:
        """Return id and text of each token of a query."""
        ...

    def document_tokens(self, text: str) -> list[tuple[int, str]]:
        """Return id and text of each token of a document."""
        ...


@dataclass(frozen=True, slots=True)
class Prepared:
    """
    The texts of a request, ready for the queue.

    Args:
        items: What the model computes.
        sizes: The tokens of each.
        key: Texts of one key are computed together.
        truncated: How many of them were cut.
        longest: The tokens that the longest had before.
    """

    items: Sequence[Any]
    sizes: Sequence[int]
    key: Hashable
    truncated: int
    longest: int


class ById:
    """Tokenizes the texts of each request, and computes ids: the queue knows true sizes."""

    def __init__(self, encoder: TokenEncoder) -> None:
        self._encoder = encoder
        self.batch_tokens = encoder.batch_tokens
        self.lanes = encoder.lanes

    def prepare(
        self, texts: Sequence[str], kind: Kind, reps: Collection[Rep], max_length: int | None
    ) -> Prepared:
        """Tokenize texts."""
        encoder = self._encoder
        tokenize = encoder.query_ids if kind == "query" else encoder.document_ids
        tokens = tokenize(texts, max_length=max_length)
        sizes = [len(text.ids) for text in tokens]
        cut = sum(text.full > size for text, size in zip(tokens, sizes, strict=True))
        longest = max((text.full for text in tokens), default=0)
        return Prepared([text.ids for text in tokens], sizes, frozenset(reps), cut, longest)

    def compute(self, key: Hashable, items: Sequence[Any]) -> list[M3Output]:
        """Encode a batch."""
        return self._encoder.encode_ids(items, cast("frozenset[Rep]", key))


class ByText:
    """Hands texts to any encoder, their sizes estimated."""

    batch_tokens = 2048
    lanes = 1

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder

    def prepare(
        self, texts: Sequence[str], kind: Kind, reps: Collection[Rep], max_length: int | None
    ) -> Prepared:
        """Estimate sizes."""
        if max_length is not None:
            raise invalid("this encoder takes no max_length")
        sizes = [2 + len(text) // _CHARACTERS for text in texts]
        return Prepared(texts, sizes, (kind, frozenset(reps)), 0, max(sizes, default=0))

    def compute(self, key: Hashable, items: Sequence[Any]) -> list[M3Output]:
        """Encode a batch."""
        kind, reps = cast("tuple[Kind, frozenset[Rep]]", key)
        if kind == "query":
            return self._encoder.encode_queries(items, reps)
        return self._encoder.encode_documents(items, reps)
