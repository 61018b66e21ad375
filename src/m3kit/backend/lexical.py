"""The lexical weights of a batch, from the weights of its tokens."""

from __future__ import annotations

import numpy as np

from m3kit.backend.packing import Pack
from m3kit.vectors import Floats, Ints, Sparse


def lexical_weights(weights: Floats, pack: Pack, unweighted: Ints) -> list[Sparse]:
    """
    Keep of each text the largest weight of each token id, where it is above zero.

    Args:
        weights: One for each token, shape `(tokens,)`.
        pack: The tokens.
        unweighted: Ids to leave out.
    """
    kept = (weights > 0) & ~np.isin(pack.ids, unweighted)
    texts, ids, weights = pack.texts[kept], pack.ids[kept], weights[kept]
    order = np.lexsort((ids, texts))
    texts, ids, weights = texts[order], ids[order], weights[order]
    new = np.flatnonzero(np.diff(texts, prepend=-1) | np.diff(ids, prepend=-1))
    if len(new):  # reduceat wants at least one group
        texts, ids, weights = texts[new], ids[new], np.maximum.reduceat(weights, new)
    ends = np.searchsorted(texts, np.arange(1, len(pack.lengths)))
    return [
        Sparse(*pair) for pair in zip(np.split(ids, ends), np.split(weights, ends), strict=True)
    ]
