"""The lexical weights of a batch, from the weights of its tokens."""

from __future__ import annotations

import numpy as np

from m3kit.backend.packing import Pack
from m3kit.vectors import Floats, Ints, Sparse

_ID_BITS = 32


def lexical_weights(weights: Floats, pack: Pack, unweighted: Ints) -> list[Sparse]:
    """
    Return the largest weight of each token id of each text, where it is above zero.

    Args:
        weights: One for each token, shape `(tokens,)`.
        pack: The tokens.
        unweighted: Ids to leave out.
    """
    mask = (weights > 0) & ~np.isin(pack.ids, unweighted)
    keys, weights = lexical_keys(pack)[mask], weights[mask]
    order = np.argsort(keys, kind="stable")
    keys, weights = keys[order], weights[order]
    new = np.flatnonzero(np.diff(keys, prepend=-1))
    if len(new):  # reduceat wants at least one group
        keys, weights = keys[new], np.maximum.reduceat(weights, new)
    return by_text(keys, weights, len(pack.lengths))


def lexical_keys(pack: Pack) -> Ints:
    """Number each token by its text and its id, so that sorting groups the ids of each text."""
    return (pack.texts << _ID_BITS) | pack.ids


def by_text(keys: Ints, weights: Floats, count: int) -> list[Sparse]:
    """
    Divide weights among `count` texts.

    Args:
        keys: As `lexical_keys` makes them, strictly increasing.
        weights: One for each key.
        count: How many texts there are; some may have no weights.
    """
    ends = np.searchsorted(keys >> _ID_BITS, np.arange(1, count))
    ids = keys & (2**_ID_BITS - 1)
    return [
        Sparse(*pair) for pair in zip(np.split(ids, ends), np.split(weights, ends), strict=True)
    ]
