"""
Several CLS tokens in a long text (MCLS, section 3.4 of the paper).

A CLS token stands before every block of so many tokens, and the dense vector is the mean of all of
them. The inner ones have neither a lexical weight nor a ColBERT vector.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from m3kit.backend.packing import Pack
from m3kit.backend.tokenizer import SPECIAL_TOKENS
from m3kit.vectors import Ints


def check_cls_every(cls_every: int | None) -> None:
    """
    Check the length of a block.

    Raises:
        ValueError: If it is not a positive whole number, or None for a single CLS.
    """
    if cls_every is not None and (isinstance(cls_every, bool) or not cls_every >= 1):
        raise ValueError(
            f"cls_every is the number of tokens to a CLS, 256 in the paper, not {cls_every!r}; "
            "None is a single CLS for each text"
        )


def insert_cls(text: Ints, cls_every: int) -> Ints:
    """Put a text's first token before every further block of `cls_every` tokens between its two."""
    blocks = np.arange(1 + cls_every, len(text) - 1, cls_every)
    return np.insert(text, blocks, text[0])


def longest_text(positions: int, cls_every: int) -> int:
    """Return how many tokens a text may have, so that it fits with its inner CLS tokens."""
    blocks, rest = divmod(positions - 1, cls_every + 1)  # without the closing token
    return blocks * cls_every + max(rest - 1, 0) + SPECIAL_TOKENS


def cls_rows(pack: Pack, cls_every: int) -> list[Ints]:
    """Return the rows of each text's CLS tokens, of a pack of what `insert_cls` gave."""
    return [
        np.arange(start, max(start + length - 1, start + 1), cls_every + 1)
        for start, length in zip(pack.starts.tolist(), pack.lengths.tolist(), strict=True)
    ]


def without_inner_cls(pack: Pack, rows: Sequence[Ints]) -> tuple[Ints, Pack]:
    """Return the rows that are no inner CLS token, and the pack of these alone."""
    inner = np.concatenate([places[1:] for places in rows])
    left = np.delete(np.arange(len(pack.ids)), inner)
    lengths = pack.lengths - np.array([len(places) - 1 for places in rows])
    return left, Pack(pack.ids[left], lengths.cumsum() - lengths, lengths)
