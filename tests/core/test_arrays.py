from __future__ import annotations

import numpy as np
import pytest

from m3kit.arrays import from_arrays, to_arrays
from m3kit.vectors import M3Output, Rep, Sparse

RANDOM = np.random.default_rng(5)


def _output(rows: int, weights: int) -> M3Output:
    ids = np.sort(RANDOM.choice(1000, weights, replace=False)).astype(np.int64)
    return M3Output(
        dense=RANDOM.random(8, np.float32),
        sparse=Sparse(ids, RANDOM.random(weights, np.float32) + np.float32(1e-9)),
        colbert=RANDOM.random((rows, 8), np.float32),
    )


OUTPUTS = [_output(3, 2), _output(1, 0), _output(5, 9)]


@pytest.mark.parametrize("reps", [("dense",), ("sparse",), ("colbert",), ("dense", "colbert")])
def test_outputs_come_back_bit_by_bit(reps: tuple[Rep, ...]) -> None:
    outputs = [output.only(*reps) for output in OUTPUTS]
    for output, again in zip(outputs, from_arrays(to_arrays(outputs), 3), strict=True):
        assert again.reps == output.reps
        for rep in reps:
            ours, read = getattr(output, rep), getattr(again, rep)
            if isinstance(ours, Sparse):
                assert read.to_dict() == ours.to_dict()
            else:
                assert read.dtype == np.float32
                assert np.array_equal(read, ours)


def test_half_precision_rounds_vectors_and_no_weight() -> None:
    arrays = to_arrays(OUTPUTS, "float16")
    assert [arrays[name].dtype.name for name in ("dense", "colbert")] == ["float16"] * 2
    assert arrays["sparse_weights"].dtype == np.float32


def test_no_texts_are_no_arrays() -> None:
    assert (to_arrays([]), from_arrays({}, 0)) == ({}, [])


def test_arrays_of_other_texts_are_refused() -> None:
    arrays = to_arrays(OUTPUTS)
    with pytest.raises(ValueError, match="not those of 2 texts"):
        from_arrays(arrays, 2)
    with pytest.raises(ValueError, match="does not have the lengths"):
        from_arrays({**arrays, "colbert": arrays["colbert"][:-1]}, 3)
