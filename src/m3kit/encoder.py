"""The seam between texts and the model, and a cache in front of it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from functools import partial
from sys import getsizeof
from threading import Lock
from typing import Protocol, TypeAlias, runtime_checkable

from m3kit.vectors import M3Output, Rep

_Encode: TypeAlias = Callable[[Sequence[str], Collection[Rep]], "list[M3Output]"]


class Encoder(Protocol):
    """Turns texts into outputs, one each, in order: a list in, a list out, always."""

    @property
    def model(self) -> str | None:
        """
        What made these vectors, as `name@fingerprint`: `"BAAI/bge-m3@5617a9f6"`.

        An index keeps it beside the data; see `same_model`. None, which is not compared, is for
        vectors of a model that nobody knows.
        """
        ...

    @property
    def dim(self) -> int:
        """Width of the dense vector and of every ColBERT row."""
        ...

    @property
    def reps(self) -> frozenset[Rep]:
        """What this model can make; a BGE v1.5 model makes dense vectors alone."""
        ...

    def encode_queries(
        self, texts: Sequence[str], reps: Collection[Rep] | None = None
    ) -> list[M3Output]:
        """Encode what people ask, computing only `reps`; None is all that the model gives."""
        ...

    def encode_documents(
        self, texts: Sequence[str], reps: Collection[Rep] | None = None
    ) -> list[M3Output]:
        """Encode what is searched, computing only `reps`; None is all that the model gives."""
        ...


@runtime_checkable
class ReadsTokens(Protocol):
    """An encoder that tells the tokens of a text, as `m3kit.torch.TorchEncoder` does."""

    def query_tokens(self, text: str) -> list[tuple[int, str]]:
        """Return id and text of each token of a query."""
        ...

    def document_tokens(self, text: str) -> list[tuple[int, str]]:
        """Return id and text of each token of a document."""
        ...


def same_model(first: str, second: str) -> bool:
    """
    Tell whether two `Encoder.model` names mean the same weights.

    The fingerprint behind the last `@` decides where both have one: a checkpoint keeps it when its
    folder moves. Else the names are compared.
    """
    name, _, fingerprint = first.rpartition("@")
    other_name, _, other_fingerprint = second.rpartition("@")
    return fingerprint == other_fingerprint if name and other_name else first == second


class CachedEncoder:
    """
    An encoder that caches its latest outputs by text.

    Two parties that ask for the same text, one for its dense and one for its sparse vector, cost
    one forward pass: a text is always encoded with all of `reps`. Safe to share between threads;
    a text that two of them ask for at the same moment may be encoded twice. What is cached is
    copied, and read-only.

    Args:
        encoder: The encoder to wrap.
        reps: What to compute for every text, whatever a single call asks for; by default all
            that the encoder can give.
        max_bytes: How many bytes are cached, vectors and texts; the least recently used texts go
            first. A pickled copy begins with nothing cached.
    """

    def __init__(
        self,
        encoder: Encoder,
        *,
        reps: Collection[Rep] | None = None,
        max_bytes: int = 256 * 2**20,
    ) -> None:
        self._encoder = encoder
        self._reps = encoder.reps if reps is None else frozenset(reps)
        self._max_bytes = max_bytes
        self._cache: OrderedDict[tuple[str, str], M3Output] = OrderedDict()
        self._bytes = 0
        self._lock = Lock()

    def __reduce__(self) -> tuple[Callable[..., CachedEncoder], tuple[Encoder]]:
        create = partial(type(self), reps=self._reps, max_bytes=self._max_bytes)
        return create, (self._encoder,)

    @property
    def model(self) -> str | None:
        """The name of the wrapped encoder."""
        return self._encoder.model

    @property
    def dim(self) -> int:
        """The width of the wrapped encoder."""
        return self._encoder.dim

    @property
    def reps(self) -> frozenset[Rep]:
        """What is computed for every text."""
        return self._reps

    def encode_queries(
        self, texts: Sequence[str], reps: Collection[Rep] | None = None
    ) -> list[M3Output]:
        """Encode queries; those seen before cost nothing."""
        return self._encode("query", self._encoder.encode_queries, texts, reps)

    def encode_documents(
        self, texts: Sequence[str], reps: Collection[Rep] | None = None
    ) -> list[M3Output]:
        """Encode documents; those seen before cost nothing."""
        return self._encode("document", self._encoder.encode_documents, texts, reps)

    def _encode(
        self, kind: str, encode: _Encode, texts: Sequence[str], reps: Collection[Rep] | None
    ) -> list[M3Output]:
        if isinstance(texts, str):
            raise TypeError("give a list of texts, not one str: [text]")
        needed = self._reps if reps is None else frozenset(reps)
        with self._lock:
            cached = {text: self._get(kind, text, needed) for text in texts}
        missing = [text for text, output in cached.items() if output is None]
        encoded: dict[str, M3Output] = {}
        if missing:
            outputs = encode(missing, self._reps | needed)
            encoded = {text: output.copy() for text, output in zip(missing, outputs, strict=True)}
        with self._lock:
            for text, output in encoded.items():
                self._put((kind, text), output)
        return [(cached[text] or encoded[text]).only(*needed) for text in texts]

    def _get(self, kind: str, text: str, needed: frozenset[Rep]) -> M3Output | None:
        output = self._cache.get((kind, text))
        if output is None or not needed <= output.reps:
            return None
        self._cache.move_to_end((kind, text))
        return output

    def _put(self, key: tuple[str, str], output: M3Output) -> None:
        replaced = self._cache.pop(key, None)
        self._bytes += _size(key, output) - (_size(key, replaced) if replaced else 0)
        self._cache[key] = output
        while self._bytes > self._max_bytes:
            self._bytes -= _size(*self._cache.popitem(last=False))


_ENTRY_BYTES = 768
"""What an entry takes besides its text and vectors: the objects around them."""


def _size(key: tuple[str, str], output: M3Output) -> int:
    return getsizeof(key[1]) + output.nbytes + _ENTRY_BYTES
