"""FlagEmbedding's own outputs as ours, and the part of them that is kept as golden files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from m3kit.vectors import M3Output, Sparse


def m3_outputs(folder: Path, texts: list[str], max_length: int) -> list[M3Output]:
    """Encode with FlagEmbedding, one text at a time, in float32 on the CPU."""
    from FlagEmbedding import BGEM3FlagModel

    model = BGEM3FlagModel(str(folder), devices="cpu", use_fp16=False)
    made: dict[str, Any] = model.encode(
        texts,
        batch_size=1,
        max_length=max_length,
        return_dense=True,
        return_sparse=True,
        return_colbert_vecs=True,
    )
    return [
        M3Output(dense=dense, sparse=_sparse(weights), colbert=colbert)
        for dense, weights, colbert in zip(
            made["dense_vecs"], made["lexical_weights"], made["colbert_vecs"], strict=True
        )
    ]


def dense_vectors(folder: Path, texts: list[str], pooling: str) -> NDArray[np.float32]:
    """Encode with FlagEmbedding's dense model, shape `(texts, dim)`."""
    from FlagEmbedding import FlagModel

    model = FlagModel(str(folder), devices="cpu", use_fp16=False, pooling_method=pooling)
    return np.asarray(model.encode(texts, batch_size=1, max_length=512), dtype=np.float32)


def token_ids(folder: Path, texts: list[str]) -> tuple[list[list[int]], set[int]]:
    """Tokenize with transformers; and the ids that FlagEmbedding gives no lexical weight."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    names = ("cls_token", "eos_token", "pad_token", "unk_token")
    special = [tokenizer.special_tokens_map.get(name) for name in names]
    given: Any = tokenizer.convert_tokens_to_ids([*filter(None, special)])
    unweighted: set[int] = set(given)
    ids: list[list[int]] = tokenizer(texts)["input_ids"]
    return ids, unweighted


def excerpt(outputs: Sequence[M3Output], step: int) -> dict[str, NDArray[Any]]:
    """
    Keep what fits into a repository.

    Of dense and ColBERT vectors every `step`-th column, of ColBERT's rows the first, the middle
    and the last one and how many there are; all lexical weights.
    """
    dense, sparse, colbert = zip(*(vectors(output) for output in outputs), strict=True)
    rows = [vectors[[0, len(vectors) // 2, -1], ::step] for vectors in colbert]
    return {
        "dense": np.stack(dense)[:, ::step],
        "sparse_counts": np.array([len(weights) for weights in sparse]),
        "sparse_ids": np.concatenate([weights.ids for weights in sparse]).astype(np.int32),
        "sparse_weights": np.concatenate([weights.weights for weights in sparse]),
        "colbert_counts": np.array([len(vectors) for vectors in colbert]),
        "colbert_rows": np.stack(rows),
    }


def vectors(
    output: M3Output,
) -> tuple[NDArray[np.float32], Sparse, NDArray[np.float32]]:
    """Return all three representations of an output that has them."""
    assert output.dense is not None
    assert output.sparse is not None
    assert output.colbert is not None
    return output.dense, output.sparse, output.colbert


def _sparse(weights: Mapping[str, float]) -> Sparse:
    return Sparse.from_dict({int(id_): float(weight) for id_, weight in weights.items()})
