"""Lexical weights as FlagEmbedding gives them: dicts from token ids, spelled as str."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from m3kit._batching import batched
from m3kit.backend.tokenizer import TextTokenizer
from m3kit.vectors import Ints, Sparse

_CELLS = 2**22  # the size of a matrix, to bound the memory


class LexicalWeights(dict[str, float]):
    """`{"5": 0.25}`: a weight for each token id; 0 for another, which is not added by asking."""

    def __missing__(self, key: str) -> float:
        return 0


def in_reading_order(weights: Sparse, ids: Ints) -> LexicalWeights:
    """Return weights in the order in which their tokens first stand in a text's `ids`."""
    known = weights.to_dict()
    seen = dict.fromkeys(id_ for id_ in ids.tolist() if id_ in known)
    return LexicalWeights((str(id_), known[id_]) for id_ in seen)


def with_tokens(weights: Mapping[str, float], tokenizer: TextTokenizer) -> dict[str, float]:
    """
    Put each token's text in place of its id.

    Where two tokens have the same text, as `▁B` at the start of a word and `B` within one, both
    keep the vocabulary's spelling.
    """
    ids = np.array([int(id_) for id_ in weights], dtype=np.int64)
    spelled = [token for _, token in tokenizer.spelled(ids)]
    texts = [token.replace("▁", "") for token in spelled]
    count = Counter(texts)
    names = [
        text if count[text] == 1 else token for text, token in zip(texts, spelled, strict=True)
    ]
    return dict(zip(names, weights.values(), strict=True))


def matching_score(first: Mapping[str, float], second: Mapping[str, float]) -> float:
    """Sum the products of the weights of shared tokens."""
    return float(sum(weight * second[token] for token, weight in first.items() if token in second))


def matching_scores(
    queries: Sequence[Mapping[str, float]], passages: Sequence[Mapping[str, float]]
) -> NDArray[np.float64]:
    """Return `matching_score` of each query with each passage, shape `(queries, passages)`."""
    columns = {token: n for n, token in enumerate(dict.fromkeys(chain.from_iterable(queries)))}
    matrix = _matrix(queries, columns)
    block = max(1, _CELLS // max(1, len(columns)))
    parts = [matrix @ _matrix(batch, columns).T for batch in batched(passages, block)]
    return np.hstack([np.zeros((len(queries), 0)), *parts])


def _matrix(
    weights: Sequence[Mapping[str, float]], columns: Mapping[str, int]
) -> NDArray[np.float64]:
    rows, places, values = [], [], []
    for row, by_token in enumerate(weights):
        shared = columns.keys() & by_token.keys()
        rows += [row] * len(shared)
        places += [columns[token] for token in shared]
        values += [by_token[token] for token in shared]
    matrix = np.zeros((len(weights), len(columns)))
    matrix[rows, places] = values
    return matrix
