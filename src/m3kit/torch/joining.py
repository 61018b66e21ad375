"""The ids of a query and a passage as those of one text, as BGE's rerankers read them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from m3kit.vectors import Ints


@dataclass(frozen=True, slots=True)
class Joint:
    """
    How the ids of a query and of a passage become those of one text.

    Args:
        first: The special token in front.
        last: The one behind each of the two, and once more in front of the passage.
        longest: How many tokens the model takes.
    """

    first: int
    last: int
    longest: int

    def __call__(self, query: Ints, passage: Ints, max_length: int) -> Ints:
        """
        Lay out `<s> query </s></s> passage </s>`, the passage cut so that it has `max_length` ids.

        As in transformers 4, a passage that would have to be dropped altogether stays, and only
        the model's own limit cuts.
        """
        over = len(query) + len(passage) + 4 - max_length
        if 0 < over < len(passage):
            passage = passage[:-over]
        query = query[: self.longest - 4]
        passage = passage[: self.longest - 4 - len(query)]
        first, last = [self.first], [self.last]
        return np.concatenate((first, query, last, last, passage, last), dtype=np.int64)
