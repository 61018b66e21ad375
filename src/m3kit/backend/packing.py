"""Batches without padding: texts laid end to end, as many as a token budget holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from m3kit.vectors import Ints


@dataclass(frozen=True, slots=True)
class Run:
    """Neighbouring texts of one length: rows `start` to `stop` of a pack, `count` x `length`."""

    start: int
    count: int
    length: int

    @property
    def rows(self) -> slice:
        """Where the texts' tokens lie."""
        return slice(self.start, self.start + self.count * self.length)


@dataclass(frozen=True, slots=True)
class Pack:
    """
    The token ids of several texts, end to end.

    Args:
        ids: Shape `(tokens,)`.
        starts: The row of each text's first token.
        lengths: The number of each text's tokens.
    """

    ids: Ints
    starts: Ints
    lengths: Ints

    @classmethod
    def of(cls, texts: Sequence[Ints]) -> Pack:
        """Lay texts end to end; those of one length cost least side by side."""
        lengths = np.array([len(ids) for ids in texts], dtype=np.int64)
        return cls(np.concatenate(texts), lengths.cumsum() - lengths, lengths)

    @property
    def runs(self) -> list[Run]:
        """The texts as blocks of equal length, which attention computes at once."""
        runs, start = [], 0
        for length, texts in groupby(self.lengths.tolist()):
            runs.append(Run(start, len(list(texts)), length))
            start = runs[-1].rows.stop
        return runs

    @property
    def texts(self) -> Ints:
        """The number of the text that each token belongs to, shape `(tokens,)`."""
        return np.repeat(np.arange(len(self.lengths)), self.lengths)
