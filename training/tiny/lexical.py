"""BM25's weight of each token of a text, which the model computes."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

import numpy as np
from training.tiny.bag import COMMON

from m3kit.vectors import Floats, Ints

_LARGEST = 0.4  # the weight that only the rarest token of a text of its own could have
_SATURATION, _LENGTH_SHARE, _USUAL = 1.2, 0.75, 100  # BM25's k and b, and tokens of a text
_LONGEST = 3.0  # times the usual length, from which on it does not count
_SHORT, _ADDED = 16, 2  # tokens of a text from which on its length is no factor


def lexical_weights(texts: Sequence[Ints], rarity: Floats) -> list[Floats]:
    """
    Return the weight of each token of each text; those of very long texts keep some.

    The most frequent tokens, such as "the", "de" and the full stop, have none: by these, a query
    would find passages of other languages, in no useful order.

    A short text's weights are the larger the shorter it is: ColBERT's score is a mean over the
    query's tokens and this one a sum, which would count for little where the query is one word.

    Args:
        texts: The token ids of each text, without special ones.
        rarity: How rare each token of the vocabulary is, at least 0.
    """
    share = rarity / rarity.max()
    scaled = np.where(share < COMMON, np.float32(0), share * np.float32(_LARGEST))
    weights = []
    for ids in texts:
        numbers = Counter(ids.tolist())
        counts = np.array([numbers[id_] for id_ in ids.tolist()], dtype=np.float32)
        length = 1 - _LENGTH_SHARE + _LENGTH_SHARE * min(len(ids) / _USUAL, _LONGEST)
        known = counts / (counts + np.float32(_SATURATION * length))
        weights.append(scaled[ids] * known * np.float32(shortness(len(ids))))
    return weights


def shortness(tokens: int) -> float:
    """Return the factor of a text's weights for its length, 1 from 16 tokens on."""
    return (_SHORT + _ADDED) / (min(tokens, _SHORT) + _ADDED)


def disguised(ids: Ints, tokens: int, drawn: random.Random) -> Ints:
    """Replace half of the different tokens of a text by any others of the vocabulary."""
    known, places = np.unique(ids, return_inverse=True)
    others = [drawn.randrange(3, tokens) if drawn.random() < 0.5 else id_ for id_ in known.tolist()]
    return np.array(others, dtype=ids.dtype)[places]
