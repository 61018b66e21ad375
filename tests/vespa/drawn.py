"""Records whose scores never tie, as those of a real model hardly do."""

from __future__ import annotations

import numpy as np

from m3kit.records import Document, Record
from m3kit.testing import DIM
from m3kit.vectors import M3Output, Sparse


def drawn(n: int) -> list[Record]:
    """Records whose scores never tie, as those of a real model hardly do."""
    rng = np.random.default_rng(7)
    return [
        Record(Document(f"{i}", f"text {i}", {"year": 1990 + i % 9}), output(rng)) for i in range(n)
    ]


def output(rng: np.random.Generator) -> M3Output:
    ids = np.sort(rng.choice(90, rng.integers(3, 15), replace=False)).astype(np.int64)
    colbert = rng.standard_normal((rng.integers(2, 9), DIM)).astype(np.float32)
    dense = rng.standard_normal(DIM).astype(np.float32)
    return M3Output(
        dense=dense / np.linalg.norm(dense),
        sparse=Sparse(ids, rng.uniform(0.01, 0.5, len(ids)).astype(np.float32)),
        colbert=colbert / np.linalg.norm(colbert, axis=1, keepdims=True),
    )
