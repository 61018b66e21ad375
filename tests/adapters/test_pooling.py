from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.cluster.hierarchy import cut_tree, linkage

from m3kit.adapters.pooling import clusters, pooled
from m3kit.vectors import Floats


def unit(rows: NDArray[np.floating]) -> Floats:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    scaled: Floats = (rows / lengths).astype(np.float32)
    return scaled


def text(tokens: int, seed: int, dim: int = 48) -> Floats:
    """Draw rows that gather around a few topics, as those of a text do."""
    random = np.random.default_rng(seed)
    topics = random.standard_normal((tokens // 4 + 1, dim))
    near = topics[random.integers(0, len(topics), tokens)]
    return unit(near + 0.6 * random.standard_normal((tokens, dim)))


@pytest.mark.parametrize("factor", [2, 3, 4])
@pytest.mark.parametrize("tokens", [2, 3, 5, 12, 40, 151])
def test_the_clusters_are_those_of_scipys_ward(tokens: int, factor: int) -> None:
    rows = text(tokens, seed=tokens)
    tree = linkage(rows.astype(np.float64), method="ward")
    expected = cut_tree(tree, n_clusters=-(-tokens // factor))[:, 0]
    ours = clusters(rows, factor)
    assert ((expected[:, None] == expected) == (ours[:, None] == ours)).all()


@pytest.mark.parametrize("factor", [1, 2, 3, 4])
@pytest.mark.parametrize("tokens", [1, 2, 9, 30, 1201, 2500])
def test_a_row_is_kept_for_every_factor_rows_and_of_unit_length(tokens: int, factor: int) -> None:
    rows = pooled(text(tokens, seed=1), factor)
    assert rows.shape == (-(-tokens // factor), 48)
    assert rows.dtype == np.float32
    assert np.linalg.norm(rows, axis=1) == pytest.approx(1, abs=1e-6)


def test_each_row_is_the_mean_of_its_cluster_in_the_order_of_first_members() -> None:
    rows = text(31, seed=2)
    names = clusters(rows, 3)
    assert all(names[name] == name for name in names)
    assert (names <= np.arange(31)).all()
    expected = unit(np.stack([rows[names == name].mean(axis=0) for name in sorted(set(names))]))
    assert pooled(rows, 3) == pytest.approx(expected, abs=1e-6)


def test_equal_rows_are_pooled_first_and_opposite_ones_leave_the_first() -> None:
    first, other, third = unit(np.eye(3, 16, dtype=np.float32) + 0.1)
    assert pooled(np.stack([first, other, first, third, other, third]), 2) == pytest.approx(
        np.stack([first, other, third]), abs=1e-6
    )
    assert pooled(np.stack([first, -first]), 2) == pytest.approx(first[None])


def test_a_text_of_one_word_again_and_again_is_that_word_in_every_row() -> None:
    rows = np.repeat(text(1, seed=3), 1200, axis=0)
    assert pooled(rows, 4) == pytest.approx(np.repeat(rows[:1], 300, axis=0), abs=1e-6)


def test_a_long_text_is_cut_into_blocks_of_neighbours() -> None:
    rows = text(2500, seed=4)
    parts = [pooled(rows[start : start + 1200], 3) for start in (0, 1200, 2400)]
    assert pooled(rows, 3).tolist() == np.concatenate(parts).tolist()


@pytest.mark.parametrize("value", [np.nan, np.inf, 3e38])
def test_rows_that_have_no_distances_are_refused(value: float) -> None:
    rows = text(6, seed=5)
    rows[4, 2] = value
    with pytest.raises(ValueError, match="finite unit rows"):
        pooled(rows, 2)
