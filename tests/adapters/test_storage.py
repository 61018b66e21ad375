from __future__ import annotations

import json
import math
from typing import get_args

import numpy as np
import pytest

from m3kit import (
    ColbertStorage,
    MemoryIndex,
    Search,
    WithColbert,
)
from m3kit.adapters.pooling import pooled
from m3kit.adapters.storage import ColbertType
from m3kit.testing import (
    DIM,
    DOCUMENTS,
    ENCODER,
    assert_same_hits,
    assert_same_vectors,
    query,
    records,
)
from m3kit.vectors import REPS, Floats, Rep

TYPES: tuple[ColbertType, ...] = get_args(ColbertType)


@pytest.fixture
def colbert() -> Floats:
    rows = np.random.default_rng(0).standard_normal((50, 1024)).astype(np.float32)
    rows[0, :6] = [0, -0.0, 1e-7, -1e-7, 6e-8, 1e-40]
    lengths: Floats = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, lengths, dtype=np.float32)


def test_float32_unpooled_is_what_was_there(colbert: Floats) -> None:
    assert ColbertStorage().stored(colbert).tolist() == colbert.tolist()


def nearest_even(row: list[float], kept_bits: int) -> list[float]:
    """Round the significands to so many bits, by Python's own rounding."""
    parts = [math.frexp(value) for value in row]
    return [
        math.ldexp(round(mantissa * 2**kept_bits), exponent - kept_bits)
        for mantissa, exponent in parts
    ]


def test_float16_and_bfloat16_are_rounded_to_the_nearest_even(colbert: Floats) -> None:
    normal = np.where(np.abs(colbert) < 2**-14, np.float32(0.5), colbert)  # float16 has fewer below
    forms: list[tuple[ColbertType, int]] = [("float16", 11), ("bfloat16", 8)]
    for dtype, bits in forms:
        halfway = np.array([[1 + n * 2**-bits for n in range(-9, 10)]], dtype=np.float32)
        for rows in (normal, halfway, -halfway):
            expected = [nearest_even(row, bits) for row in rows.tolist()]
            assert ColbertStorage(dtype).stored(rows).tolist() == expected
    assert np.abs(ColbertStorage("float16").stored(colbert) - colbert).max() <= 2**-12


def test_int8_is_the_integer_that_an_engine_divides_by_127(colbert: Floats) -> None:
    stored = ColbertStorage("int8").stored(colbert)
    integers = np.array([[round(float(x) * 127) for x in row] for row in colbert])
    assert stored == pytest.approx(integers / 127, abs=1e-7)
    assert np.abs(stored - colbert).max() <= 0.5 / 127 + 1e-7
    long = np.array([[1.5, -1.5, 1.0]], dtype=np.float32)
    assert ColbertStorage("int8").stored(long).tolist() == [[1, -1, 1]]


def test_binary_is_what_packed_bits_say(colbert: Floats) -> None:
    stored = ColbertStorage("binary").stored(colbert)
    bits = np.unpackbits(np.packbits(colbert > 0, axis=1), axis=1)
    assert stored == pytest.approx((2.0 * bits - 1) / 32)
    assert np.linalg.norm(stored, axis=1) == pytest.approx(1)


@pytest.mark.parametrize("dtype", TYPES)
def test_what_is_stored_is_float32_and_rounding_it_again_changes_nothing(
    colbert: Floats, dtype: ColbertType
) -> None:
    stored = ColbertStorage(dtype, 3).stored(colbert)
    assert stored.dtype == np.float32
    assert stored.shape == (17, 1024)
    again = ColbertStorage(dtype).stored(stored)
    assert again.tolist() == stored.tolist()
    assert stored.tolist() == ColbertStorage(dtype).stored(pooled(colbert, 3)).tolist()


def test_the_bytes_are_those_of_the_numbers() -> None:
    sizes = {dtype: ColbertStorage(dtype).nbytes(300, 1024) for dtype in TYPES}
    assert sizes == {
        "float32": 1_228_800,
        "float16": 614_400,
        "bfloat16": 614_400,
        "int8": 307_200,
        "binary": 38_400,
    }
    assert ColbertStorage("binary", 4).nbytes(301, 1024) == 76 * 128
    assert ColbertStorage("binary").nbytes(2, 9) == 4


@pytest.mark.parametrize(
    ("dtype", "pool_factor"),
    [("float64", 1), ("", 1), (None, 1), ("int8", 0), ("int8", 5), ("int8", True), ("int8", 2.0)],
)
def test_other_types_and_factors_are_refused(dtype: ColbertType, pool_factor: int) -> None:
    with pytest.raises(ValueError, match=r"stored as one of float32, |pool_factor is 1, 2, 3 or 4"):
        ColbertStorage(dtype, pool_factor)


def test_it_is_written_as_json_and_as_text() -> None:
    for storage in (ColbertStorage(), ColbertStorage("bfloat16", 3)):
        assert ColbertStorage.from_json(json.loads(json.dumps(storage.to_json()))) == storage
    assert str(ColbertStorage("int8")) == "int8"
    assert str(ColbertStorage("int8", 2)) == "int8 pooled by 2"
    for wrong in (None, {}, {"dtype": "int8"}, {"dtype": "int9", "pool_factor": 1}):
        with pytest.raises(ValueError, match=r"is not a form|stored as one of"):
            ColbertStorage.from_json(wrong)


@pytest.mark.parametrize("storage", [ColbertStorage("int8", 2), ColbertStorage("binary")], ids=str)
def test_the_oracle_scores_by_what_is_stored_and_by_the_whole_query(
    storage: ColbertStorage,
) -> None:
    index = MemoryIndex(DIM, colbert=storage)
    index.upsert(records(DOCUMENTS))
    encoded = query("the growling salmon", "colbert")
    assert encoded.colbert is not None
    for hit in index.search(Search(query=encoded, k=20)):
        (output,) = ENCODER.encode_documents([hit.document.text], ["colbert"])
        assert output.colbert is not None
        best = (encoded.colbert @ storage.stored(output.colbert).T).max(axis=1)
        assert hit.score == pytest.approx(best.mean(), abs=1e-6)


def test_colbert_that_is_composed_answers_as_an_index_that_stores_it() -> None:
    storage = ColbertStorage("binary", 2)
    oracle = MemoryIndex(DIM, colbert=storage)
    index = WithColbert(MemoryIndex(DIM, reps=["dense", "sparse"]), ENCODER, colbert=storage)
    for store in (oracle, index):
        store.upsert(records(DOCUMENTS))
    combinations: list[tuple[Rep, ...]] = [("colbert",), REPS]
    for reps in combinations:
        search = Search(query=query("the growling salmon", *reps), with_scores=True)
        assert_same_hits(index.search(search), oracle.search(search))
    for mine, expected in zip(index.scan(None, REPS), oracle.scan(None, REPS), strict=True):
        assert_same_vectors(mine.output, expected.output, REPS)
