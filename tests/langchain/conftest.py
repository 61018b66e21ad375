from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.stores import PARAMS, STORES

from m3kit import Encoder, HybridIndex, M3Output, Rep


@pytest.fixture(params=PARAMS)
def open_index(
    request: pytest.FixtureRequest, directory: Path
) -> Callable[[Encoder], AbstractContextManager[HybridIndex]]:
    """Open an empty index for an encoder, in each of the stores in turn."""
    return lambda encoder: STORES[request.param](directory, encoder)


@dataclass
class Counted:
    """An encoder that notes each text that goes through the model."""

    encoder: Encoder
    queries: list[str] = field(default_factory=list)
    documents: list[str] = field(default_factory=list)

    @property
    def model(self) -> str | None:
        return self.encoder.model

    @property
    def dim(self) -> int:
        return self.encoder.dim

    @property
    def reps(self) -> frozenset[Rep]:
        return self.encoder.reps

    def encode_queries(
        self, texts: Sequence[str], reps: Collection[Rep] | None = None
    ) -> list[M3Output]:
        self.queries.extend(texts)
        return self.encoder.encode_queries(texts, reps)

    def encode_documents(
        self, texts: Sequence[str], reps: Collection[Rep] | None = None
    ) -> list[M3Output]:
        self.documents.extend(texts)
        return self.encoder.encode_documents(texts, reps)
