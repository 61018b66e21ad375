"""M3's scores of pairs of texts, without an index; each text is encoded once."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Literal, Protocol, TypeAlias, overload

import numpy as np

from m3kit._batching import batched
from m3kit._truncation import aggregate_warnings
from m3kit.encoder import Encoder
from m3kit.scoring import scores
from m3kit.vectors import REPS, Floats, M3Output, Rep

Mode: TypeAlias = Literal["colbert", "sparse", "dense", "sparse+dense", "colbert+sparse+dense"]
"""One of M3's scores of a pair."""

Pair: TypeAlias = Sequence[str]
"""A query and a passage."""

_PASSAGES = 256  # encoded at once, to bound the memory


class TruncatingEncoder(Encoder, Protocol):
    """An encoder that takes a limit with each call, as `m3kit.torch.TorchEncoder` does."""

    def encode_queries(
        self,
        texts: Sequence[str],
        reps: Collection[Rep] | None = None,
        *,
        max_length: int | None = None,
    ) -> list[M3Output]:
        """Encode queries, truncated to `max_length` tokens."""
        ...

    def encode_documents(
        self,
        texts: Sequence[str],
        reps: Collection[Rep] | None = None,
        *,
        max_length: int | None = None,
    ) -> list[M3Output]:
        """Encode documents, truncated to `max_length` tokens."""
        ...


@overload
def score_pairs(
    encoder: Encoder, pairs: Sequence[Pair], *, weights: Sequence[float] | None = None
) -> dict[Mode, list[float]]: ...


@overload
def score_pairs(
    encoder: TruncatingEncoder,
    pairs: Sequence[Pair],
    *,
    weights: Sequence[float] | None = None,
    max_query_length: int | None = None,
    max_passage_length: int | None = None,
) -> dict[Mode, list[float]]: ...


def score_pairs(
    encoder: Encoder,
    pairs: Sequence[Pair],
    *,
    weights: Sequence[float] | None = None,
    max_query_length: int | None = None,
    max_passage_length: int | None = None,
) -> dict[Mode, list[float]]:
    """
    Score pairs of a query and a passage in M3's five ways.

    The sums are weighted means, as FlagEmbedding's `compute_score` makes them. A text that occurs
    in many pairs is encoded once; the vectors of 256 passages are in memory at a time.

    Args:
        encoder: Makes all three representations.
        pairs: `(query, passage)`, any number of them.
        weights: Of dense, sparse and ColBERT, in this order; by default 1 each. A mean whose
            weights are all 0 is 0.
        max_query_length: Tokens of a query, special ones included; by default the encoder's limit.
        max_passage_length: The same for a passage.

    Returns:
        A list for each mode, with a score for each pair.

    Raises:
        TypeError: If a pair is not two texts, or a limit is given to an encoder that has none.
        ValueError: If there are not three weights.
    """
    given = tuple(weights) if weights is not None else (1.0, 1.0, 1.0)
    if len(given) != len(REPS):
        raise ValueError(f"weights are three numbers, of {', '.join(REPS)}, not {weights!r}")
    check_pairs(pairs)
    with aggregate_warnings():
        by_rep = _scores(encoder, pairs, _limit(max_query_length), _limit(max_passage_length))
    dense, sparse, colbert = given
    return {
        "colbert": by_rep["colbert"].tolist(),
        "sparse": by_rep["sparse"].tolist(),
        "dense": by_rep["dense"].tolist(),
        "sparse+dense": _mean(by_rep, {"sparse": sparse, "dense": dense}),
        "colbert+sparse+dense": _mean(
            by_rep, {"colbert": colbert, "sparse": sparse, "dense": dense}
        ),
    }


def check_pairs(pairs: Sequence[Pair]) -> None:
    """
    Check that each pair is two texts.

    Raises:
        TypeError: If a pair is not two texts.
    """
    for position, pair in enumerate(pairs):
        if isinstance(pair, str) or [type(text) for text in pair] != [str, str]:
            raise TypeError(f"pairs[{position}] is not a pair of two texts: {pair!r}")


def _scores(
    encoder: Encoder,
    pairs: Sequence[Pair],
    query_limit: dict[str, int],
    passage_limit: dict[str, int],
) -> dict[Rep, Floats]:
    queries = list(dict.fromkeys(query for query, _ in pairs))
    encoded = encoder.encode_queries(queries, REPS, **query_limit)
    query_outputs = dict(zip(queries, encoded, strict=True))
    positions: dict[str, list[int]] = {}
    for position, (_, passage) in enumerate(pairs):
        positions.setdefault(passage, []).append(position)
    by_rep = {rep: np.zeros(len(pairs), dtype=np.float32) for rep in REPS}
    for batch in batched(positions, _PASSAGES):
        encoded = encoder.encode_documents(batch, REPS, **passage_limit)
        passage_outputs = dict(zip(batch, encoded, strict=True))
        by_query: dict[str, list[int]] = {}
        for position in (position for passage in batch for position in positions[passage]):
            by_query.setdefault(pairs[position][0], []).append(position)
        for query, rows in by_query.items():
            outputs = [passage_outputs[pairs[row][1]] for row in rows]
            for rep in REPS:
                by_rep[rep][rows] = scores(rep, query_outputs[query], outputs)
    return by_rep


def _limit(max_length: int | None) -> dict[str, int]:
    return {} if max_length is None else {"max_length": max_length}


def _mean(by_rep: dict[Rep, Floats], weights: dict[Rep, float]) -> list[float]:
    total = sum(weights.values())
    if not total:
        return [0.0] * len(by_rep["dense"])
    mean = sum(by_rep[rep] * weight for rep, weight in weights.items()) / total
    return np.asarray(mean, dtype=np.float32).tolist()  # type: ignore[no-any-return]  # NumPy says Any
