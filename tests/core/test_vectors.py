from __future__ import annotations

import numpy as np
import pytest

from m3kit import REPS, M3Output, Sparse


def floats(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float32)


@pytest.mark.parametrize(
    ("ids", "weights", "says"),
    [
        ([2, 1], [1, 1], "strictly increasing"),
        ([1, 1], [1, 1], "strictly increasing"),
        ([-1, 1], [1, 1], "at least 0"),
        ([1, 2], [1], "one length"),
        ([1], [0], "above zero"),
        ([1], [-1], "above zero"),
        ([1], [np.nan], "finite"),
        ([1], [np.inf], "finite"),
    ],
)
def test_sparse_refuses_what_breaks_its_rules(
    ids: list[int], weights: list[float], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        Sparse(np.array(ids, dtype=np.int64), floats(*weights))


def test_sparse_reads_and_gives_python_numbers_in_order() -> None:
    sparse = Sparse.from_dict({7: 0.5, 3: 0.25, 5: 0.0})
    assert sparse.to_dict() == {3: 0.25, 7: 0.5}
    assert [type(key) for key in sparse.to_dict()] == [int, int]
    assert [type(value) for value in sparse.to_dict().values()] == [float, float]
    assert len(Sparse.from_dict({})) == 0


def test_an_output_says_what_it_carries() -> None:
    output = M3Output(
        dense=floats(1, 0), sparse=Sparse.from_dict({}), colbert=np.eye(2, dtype="f4")
    )
    assert output.reps == set(REPS)
    assert output.only("dense", "sparse").reps == {"dense", "sparse"}
    assert output.only().reps == frozenset()
    assert output.only("dense").only("sparse").reps == frozenset()


def test_an_output_knows_its_size_in_bytes() -> None:
    sparse = Sparse.from_dict({1: 1.0, 2: 1.0})
    output = M3Output(dense=floats(1, 0), sparse=sparse, colbert=np.eye(2, dtype=np.float32))
    assert output.nbytes == 2 * 4 + 2 * (8 + 4) + 4 * 4
    assert M3Output().nbytes == 0


@pytest.mark.parametrize(
    ("dense", "colbert"),
    [
        (np.ones((1, 2), dtype=np.float32), None),
        (None, np.ones(2, dtype=np.float32)),
        (None, np.ones((0, 2), dtype=np.float32)),
    ],
)
def test_an_output_refuses_other_shapes(
    dense: np.ndarray | None, colbert: np.ndarray | None
) -> None:
    with pytest.raises(ValueError, match="shape"):
        M3Output(dense=dense, colbert=colbert)


def test_a_copy_is_read_only_and_pins_no_batch() -> None:
    batch = np.ones((3, 2), dtype=np.float32)
    copied = M3Output(dense=batch[0], sparse=Sparse.from_dict({1: 1.0}), colbert=batch).copy()
    batch[:] = 0
    assert copied.dense is not None
    assert copied.dense.tolist() == [1, 1]
    assert copied.dense.base is None
    with pytest.raises(ValueError, match="read-only"):
        copied.dense[0] = 5


def test_sparse_ids_are_integers() -> None:
    with pytest.raises(ValueError, match="integers"):
        Sparse(floats(1, 2), floats(1, 2))
