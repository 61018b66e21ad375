from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from m3kit._batching import chunked
from m3kit.backend.lexical import lexical_weights
from m3kit.backend.packing import Pack
from m3kit.torch.lexical import reduce_on_device

_SIZES = st.lists(st.integers(0, 12), max_size=40)


@given(_SIZES, st.integers(1, 20))
def test_chunks_keep_order_and_budget(sizes: list[int], budget: int) -> None:
    chunks = list(chunked(sizes, size=int, budget=budget))
    assert [size for chunk in chunks for size in chunk] == sizes
    assert all(chunk and (sum(chunk) <= budget or len(chunk) == 1) for chunk in chunks)


@given(_SIZES, st.integers(1, 20))
def test_a_chunk_takes_all_that_fits(sizes: list[int], budget: int) -> None:
    chunks = list(chunked(sizes, size=int, budget=budget))
    assert all(sum(one) + other[0] > budget for one, other in pairwise(chunks))


@given(st.lists(st.integers(1, 6), min_size=1, max_size=12))
def test_runs_cover_a_pack_with_texts_of_one_length(lengths: list[int]) -> None:
    pack = Pack.of([np.full(length, number) for number, length in enumerate(lengths)])
    assert pack.texts.tolist() == pack.ids.tolist()
    assert pack.ids[pack.starts].tolist() == list(range(len(lengths)))
    assert [run.length for run in pack.runs for _ in range(run.count)] == lengths
    assert [row for run in pack.runs for row in range(len(pack.ids))[run.rows]] == [
        *range(len(pack.ids))
    ]


@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, 5), st.floats(-2, 2, width=32)), min_size=1, max_size=8),
        min_size=1,
        max_size=5,
    )
)
def test_lexical_weights_are_the_largest_of_each_token(
    texts: list[list[tuple[int, float]]],
) -> None:
    pack = Pack.of([np.array([id_ for id_, _ in text]) for text in texts])
    weights = np.array([weight for text in texts for _, weight in text], dtype=np.float32)
    expected = []
    for text in texts:
        largest: dict[int, float] = {}
        for id_, weight in text:
            if id_ not in (0, 3) and weight > 0:
                largest[id_] = max(weight, largest.get(id_, 0.0))
        expected.append(dict(sorted(largest.items())))
    unweighted = np.array([0, 3])
    for found in (
        lexical_weights(weights, pack, unweighted),
        reduce_on_device(torch.from_numpy(weights), pack, unweighted),
    ):
        assert [weights.to_dict() for weights in found] == expected
