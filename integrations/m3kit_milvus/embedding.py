"""An encoder with the interface of `pymilvus.model`'s embedding functions."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np

from m3kit._batching import batched
from m3kit.encoder import Encoder
from m3kit.scoring import require
from m3kit.vectors import M3Output, Rep, Sparse

TOKENS = 250_002
"""How many token ids BGE-M3 has."""

_NO_WEIGHT = 1e-6


class M3EmbeddingFunction:
    """
    What `pymilvus.model.hybrid.BGEM3EmbeddingFunction` is, over any encoder.

    It returns what that returns, and what pymilvus takes: `dense`, a list of arrays of
    shape `(dim,)` in float32; `sparse`, a `csr_matrix` of SciPy with a row for each text, each of
    which may be inserted; `colbert_vecs`, a list of arrays of shape `(tokens, dim)`. Each text is
    encoded once. A text without a lexical weight has a negligible one, since Milvus takes no row
    without any.

    Args:
        encoder: Encodes the texts.
        reps: What is returned, of what the encoder makes.
        batch_size: How many texts are encoded at once; None leaves that to the encoder.
        tokens: How many token ids there are, the width of the matrix.
    """

    def __init__(
        self,
        encoder: Encoder,
        *,
        reps: Collection[Rep] = ("dense", "sparse"),
        batch_size: int | None = None,
        tokens: int = TOKENS,
    ) -> None:
        self.encoder = encoder
        self._reps = frozenset(reps) & encoder.reps
        self._batch_size = batch_size
        self._tokens = tokens

    @property
    def dim(self) -> dict[str, int]:
        """The widths of the three."""
        width = self.encoder.dim
        return {"dense": width, "colbert_vecs": width, "sparse": self._tokens}

    def __call__(self, texts: Sequence[str]) -> dict[str, Any]:
        """Encode texts as documents."""
        return self.encode_documents(texts)

    def encode_documents(self, documents: Sequence[str]) -> dict[str, Any]:
        """Encode documents."""
        return self._result(self.encoder.encode_documents, documents)

    def encode_queries(self, queries: Sequence[str]) -> dict[str, Any]:
        """Encode queries."""
        return self._result(self.encoder.encode_queries, queries)

    def _result(
        self,
        encode: Callable[[Sequence[str], Collection[Rep]], list[M3Output]],
        texts: Sequence[str],
    ) -> dict[str, Any]:
        if isinstance(texts, str):
            raise TypeError(f"expected several texts, not the string {texts!r}; write [text]")
        batches = batched(texts, self._batch_size or max(1, len(texts)))
        outputs = [output for batch in batches for output in encode(batch, self._reps)]
        result: dict[str, Any] = {}
        if "dense" in self._reps:
            result["dense"] = [require(output.dense, "dense") for output in outputs]
        if "sparse" in self._reps:
            result["sparse"] = self._matrix(outputs)
        if "colbert" in self._reps:
            result["colbert_vecs"] = [require(output.colbert, "colbert") for output in outputs]
        return result

    def _matrix(self, outputs: Sequence[M3Output]) -> Any:
        from scipy.sparse import csr_matrix  # 0.1 s that nothing else here needs

        nothing = Sparse(np.array([self._tokens - 1]), np.array([_NO_WEIGHT], np.float32))
        rows = [require(output.sparse, "sparse") or nothing for output in outputs]
        starts = np.cumsum([0, *map(len, rows)])
        weights = np.concatenate([np.zeros(0), *(row.weights for row in rows)])
        ids = np.concatenate([np.zeros(0, np.int64), *(row.ids for row in rows)])
        return csr_matrix((weights, ids, starts), shape=(len(rows), self._tokens))
