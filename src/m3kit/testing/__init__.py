"""
The conformance suite: what every index must do.

Subclass it, define a fixture, and inherit every test:

    class TestMyIndex(IndexConformance):
        @pytest.fixture
        def index(self) -> HybridIndex:
            return MyIndex(..., dim=DIM)

The index is empty, `DIM` wide, and holds the representations that it supports; tests of others are
skipped. Expected scores are computed here, document by document, independently of the code that
`MemoryIndex` and the stores share. Needs the extra `testing`.

An index that stores ColBERT vectors in less than float32 sets `storage`, and is compared with the
scores of that form. If the engine rounds the query, too, `tolerance` is the largest error allowed.
"""

from __future__ import annotations

from m3kit.testing.assertions import (
    PRECISION,
    assert_ranking,
    assert_same_hits,
    assert_same_vectors,
    typed,
)
from m3kit.testing.conformance import IndexConformance
from m3kit.testing.encoder import DIM, ENCODER, HashEncoder, query, records
from m3kit.testing.expected import plain_ranking, plain_score
from m3kit.testing.samples import DATES, DOCUMENTS, NASTY_IDS, NASTY_VALUES, NUMBERS, TEXTS
from m3kit.testing.strategies import documents, filters, json_values, searches

__all__ = [
    "DATES",
    "DIM",
    "DOCUMENTS",
    "ENCODER",
    "NASTY_IDS",
    "NASTY_VALUES",
    "NUMBERS",
    "PRECISION",
    "TEXTS",
    "HashEncoder",
    "IndexConformance",
    "assert_ranking",
    "assert_same_hits",
    "assert_same_vectors",
    "documents",
    "filters",
    "json_values",
    "plain_ranking",
    "plain_score",
    "query",
    "records",
    "searches",
    "typed",
]
