"""Vectors as Vespa's hexadecimal digits: what is read is what was written."""

from __future__ import annotations

import numpy as np
import pytest

from m3kit.adapters.storage import ColbertStorage, ColbertType
from m3kit.testing import DIM, query
from m3kit.vectors import Floats, Sparse
from m3kit_vespa.vectors import (
    SCALE,
    colbert_value,
    dense_value,
    integer_weights,
    sparse_value,
    to_colbert,
    to_dense,
    to_sparse,
)

ROWS = np.random.default_rng(0).standard_normal((13, DIM)).astype(np.float32)
UNIT: Floats = (ROWS / np.linalg.norm(ROWS, axis=1, keepdims=True)).astype(np.float32)


def test_a_dense_vector_comes_back_to_the_last_bit() -> None:
    assert dense_value(np.array([1.0, -0.5], np.float32)) == {"values": "3f800000bf000000"}
    assert (to_dense(dense_value(UNIT[0])) == UNIT[0]).all()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int8", "binary"])
def test_colbert_vectors_come_back_as_they_are_stored(dtype: ColbertType) -> None:
    stored = ColbertStorage(dtype, pool_factor=2).stored(UNIT)
    value = colbert_value(stored, dtype)
    assert (to_colbert(value, dtype, DIM) == stored).all()
    digits = {"float32": 8, "bfloat16": 4, "int8": 2, "binary": 0.25}[dtype]
    assert {len(row) for row in value["blocks"].values()} == {DIM * digits}


def test_bfloat16_is_rounded_before_vespa_truncates_it() -> None:
    near = np.float32(1.0) + np.float32(2**-8) + np.float32(2**-9)
    rows = np.full((1, 8), near, dtype=np.float32)
    stored = ColbertStorage("bfloat16").stored(rows)
    assert stored[0, 0] == 1 + 2**-7
    assert colbert_value(stored, "bfloat16") == {"blocks": {"0": "3f81" * 8}}


def test_lexical_weights_come_back_and_an_empty_tensor_is_missing() -> None:
    sparse = query("the bear and the cat").sparse
    assert sparse is not None
    back = to_sparse(sparse_value(sparse))
    assert back.to_dict() == sparse.to_dict()
    assert len(to_sparse(None)) == 0


def test_addresses_are_read_as_well_as_labels() -> None:
    cells = [{"address": {"token": "7"}, "value": 0.5}, {"address": {"token": "3"}, "value": 1.0}]
    assert to_sparse({"cells": cells}).to_dict() == {3: 1.0, 7: 0.5}
    blocks = [{"address": {"t": "1"}, "values": [2.0]}, {"address": {"t": "0"}, "values": [1.0]}]
    assert to_colbert({"blocks": blocks}, "float32", 1).tolist() == [[1.0], [2.0]]


def test_integer_weights_are_never_nothing_and_never_too_large() -> None:
    sparse = Sparse.from_dict({1: 1e-9, 2: 0.5, 3: 1e9})
    assert integer_weights(sparse) == {"1": 1, "2": SCALE // 2, "3": 2**31 - 1}
