"""A stand-in for the model, and what it makes of texts."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from zlib import crc32

import numpy as np

from m3kit.adapters.storage import ColbertStorage
from m3kit.records import Document, Record
from m3kit.scoring import require
from m3kit.vectors import REPS, Floats, M3Output, Rep, Sparse

DIM = 32
"""The width of the suite's vectors."""


class HashEncoder:
    """
    A small, deterministic stand-in for the model, with M3's shapes.

    Words become hashed unit vectors, so that texts that share words are close. An empty text has a
    dense vector, no lexical weight, and the ColBERT vector of its end.
    """

    model = "hash"
    dim = DIM
    reps: frozenset[Rep] = frozenset(REPS)

    def encode_queries(
        self, texts: Sequence[str], reps: Collection[Rep] | None = None
    ) -> list[M3Output]:
        """Encode as `encode_documents` does."""
        return self.encode_documents(texts, reps)

    def encode_documents(
        self, texts: Sequence[str], reps: Collection[Rep] | None = None
    ) -> list[M3Output]:
        """Encode each text by its words."""
        return [self._encode(text).only(*(reps or REPS)) for text in texts]

    def _encode(self, text: str) -> M3Output:
        words = text.lower().split()
        colbert = np.stack([_unit(word) for word in [*words, "</s>"]])
        dense = np.sum([_unit(word) for word in sorted([*words, "</s>"])], axis=0)
        return M3Output(
            dense=(dense / np.linalg.norm(dense)).astype(np.float32),
            sparse=Sparse.from_dict({_token(word): _weight(word) for word in words}),
            colbert=colbert,
        )


def _token(word: str) -> int:
    return 4 + crc32(word.encode()) % 250_000


def _weight(word: str) -> float:
    return 0.05 + _token(word) % 997 / 997


@lru_cache(maxsize=4_096)
def _unit(word: str) -> Floats:
    vector = np.random.default_rng(crc32(word.encode())).standard_normal(DIM)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


ENCODER = HashEncoder()


def records(
    documents: Iterable[Document],
    storage: ColbertStorage = ColbertStorage(),  # noqa: B008  # frozen
) -> list[Record]:
    """Encode documents by `ENCODER`, in the form that an index with this storage has."""
    listed = list(documents)
    outputs = ENCODER.encode_documents([document.text for document in listed])
    stored = [storage.stored(require(output.colbert, "colbert")) for output in outputs]
    return [
        Record(document, replace(output, colbert=colbert))
        for document, output, colbert in zip(listed, outputs, stored, strict=True)
    ]


def query(text: str, *reps: Rep) -> M3Output:
    """Encode a query by `ENCODER`."""
    (output,) = ENCODER.encode_queries([text], reps or REPS)
    return output
