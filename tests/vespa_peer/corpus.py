"""Papers with vectors, and what NumPy says of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

DIM = 8
SCALE = 2**14  # float weights as the integers of a weighted set
SIZE = 60


@dataclass(frozen=True)
class Vectors:
    dense: Floats
    sparse: dict[int, float]
    colbert: Floats

    def inputs(self) -> dict[str, Any]:
        """Make a query's parameters."""
        weights = ",".join(f"{token}:{weight}" for token, weight in self.integers().items())
        return {
            "input.query(q_dense)": self.dense.tolist(),
            "input.query(q_sparse)": {str(token): w for token, w in self.sparse.items()},
            "input.query(q_colbert)": {str(i): row.tolist() for i, row in enumerate(self.colbert)},
            "input.query(q_tokens)": len(self.colbert),
            "tokens": f"{{{weights}}}",
            "ids": ",".join(map(str, self.sparse)),
        }

    def integers(self) -> dict[str, int]:
        return {str(token): round(weight * SCALE) for token, weight in self.sparse.items()}


def drawn(seed: int) -> Vectors:
    rng = np.random.default_rng(seed)
    tokens = np.sort(rng.choice(40, rng.integers(2, 8), replace=False))
    weights = rng.uniform(0.01, 0.6, len(tokens)).astype(np.float32)
    return Vectors(
        unit(rng.normal(size=DIM)),
        dict(zip(tokens.tolist(), weights.tolist(), strict=True)),
        unit(rng.normal(size=(rng.integers(1, 6), DIM))),
    )


def unit(vectors: Floats) -> Floats:
    rows: Floats = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return rows.astype(np.float32).astype(np.float64)


DOCUMENTS = {f"d{i}": drawn(i) for i in range(SIZE)}
QUERY = drawn(1_000)


def fields(key: str) -> dict[str, Any]:
    """Say a document as Vespa is fed with it."""
    index, of = int(key[1:]), DOCUMENTS[key]
    return {
        "id": key,
        "title": "Even" if index % 2 == 0 else "Odd",
        "text": f"Number {index} of the papers" + " on cats" * (index % 4),
        "tags": [f"t{index % 3}", "all"],
        "year": 1990 + index,
        "price": index / 8,
        "public": index % 2 == 0,
        "dense": of.dense.tolist(),
        "sparse": {str(token): weight for token, weight in of.sparse.items()},
        "tokens": of.integers(),
        "words": of.integers(),
        "token_ids": [*of.sparse],
        "colbert": {str(i): row.tolist() for i, row in enumerate(of.colbert)},
        "cells": {str(i): row.tolist() for i, row in enumerate(cells(of.colbert))},
        "bits": {str(i): [byte] for i, byte in enumerate(packed(of.colbert))},
    }


def cells(rows: Floats) -> npt.NDArray[np.int8]:
    return np.round(rows * 127).astype(np.int8)


def packed(rows: Floats) -> list[int]:
    return [int(byte) for byte in np.packbits(rows > 0, axis=-1).view(np.int8)[:, 0]]


def bfloat16(rows: Floats) -> Floats:
    """Cut the lower half of each float32 off, as Vespa does."""
    bits = rows.astype(np.float32).view(np.uint32) & np.uint32(0xFFFF0000)
    return bits.view(np.float32).astype(np.float64)


def dense(query: Vectors, of: Vectors) -> float:
    return float(query.dense @ of.dense)


def sparse(query: Vectors, of: Vectors) -> float:
    return sum(weight * of.sparse.get(token, 0) for token, weight in query.sparse.items())


def integers(query: Vectors, of: Vectors) -> int:
    weights = of.integers()
    return sum(weight * weights.get(token, 0) for token, weight in query.integers().items())


def maxsim(query: Vectors, rows: Floats) -> float:
    """Add up, for each of the query's tokens, its best similarity."""
    return float((query.colbert @ rows.T).max(axis=1).sum())


def best(scores: dict[str, float], count: int = SIZE) -> dict[str, float]:
    """Keep the best, from the highest score on."""
    order = sorted(scores, key=lambda key: -scores[key])[:count]
    return {key: scores[key] for key in order}
