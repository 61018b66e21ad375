"""BM25's weight of each token of a text, which the sparse head begins with and keeps near."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from m3kit.vectors import Floats, Ints

_LARGEST = 0.8  # the weight that only the rarest token of a text of its own could have
_SATURATION, _LENGTH_SHARE, _USUAL = 1.2, 0.75, 100  # BM25's k and b, and tokens of a text
_LONGEST = 3.0  # times the usual length, from which on it does not count


def lexical_weights(texts: Sequence[Ints], rarity: Floats) -> list[Floats]:
    """
    Return the weight of each token of each text; those of very long texts keep some.

    Args:
        texts: The token ids of each text, without special ones.
        rarity: How rare each token of the vocabulary is, at least 0.
    """
    scaled = rarity * np.float32(_LARGEST / rarity.max())
    weights = []
    for ids in texts:
        numbers = Counter(ids.tolist())
        counts = np.array([numbers[id_] for id_ in ids.tolist()], dtype=np.float32)
        share = 1 - _LENGTH_SHARE + _LENGTH_SHARE * min(len(ids) / _USUAL, _LONGEST)
        weights.append(scaled[ids] * counts / (counts + np.float32(_SATURATION * share)))
    return weights
