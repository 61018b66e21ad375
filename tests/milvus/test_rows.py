"""What pymilvus sends of a row, against what it sends of plain texts and dicts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from pymilvus.client.prepare import Prepare

from m3kit.adapters.manifest import Manifest
from m3kit.records import Document, Record
from m3kit.testing import DIM, ENCODER
from m3kit.vectors import M3Output, Rep, Sparse
from m3kit_milvus import own
from m3kit_milvus.columns import NO_TOKEN, nbytes
from m3kit_milvus.layout import Column, Row
from m3kit_milvus.own import Own
from m3kit_milvus.payload import TermsType
from m3kit_milvus.whole import Whole

REPS: tuple[Rep, ...] = ("dense", "sparse")
COLUMNS = {rep: Column(rep, rep, "IP", "FLAT", {}) for rep in REPS}
STAMP = Manifest(DIM, frozenset(REPS), None)
DOCUMENTS = [
    Document("1", "A growling bear, \u2028 a 熊\0.", {"n": 2, "lang": "en", "tags": ["a", 1]}),
    Document("é", "", {}),
]
NUMBERS = {np.int32: np.float64, np.uint32: np.float16, np.int64: np.float32}


def _sent(rows: Sequence[Row], terms_type: TermsType) -> Any:
    shape = own.schema(STAMP, terms_type, None).to_dict()
    return Prepare.row_upsert_param("papers", [*rows], "", shape["fields"], [], enable_dynamic=True)


def _rows(terms_type: TermsType, outputs: list[M3Output]) -> list[Row]:
    layout = Own(STAMP, COLUMNS, terms_type, None, negates=True)
    return [layout.to_row(Record(*pair)) for pair in zip(DOCUMENTS, outputs, strict=True)]


def _plain(value: Any) -> Any:
    return str.__str__(value) if isinstance(value, str) else value


@pytest.mark.parametrize("terms_type", ["text", "array"])
def test_a_row_is_sent_as_one_of_texts_and_dicts_is(terms_type: TermsType) -> None:
    outputs = ENCODER.encode_documents([one.text for one in DOCUMENTS], REPS)
    rows = _rows(terms_type, outputs)
    assert [type(row["text"]) for row in rows] == [Whole, Whole]
    dicts = [one.sparse.to_dict() if one.sparse else {} for one in outputs]
    assert dicts[0]
    assert not dicts[1]
    plain = [
        {name: _plain(value) for name, value in row.items()} | {"sparse": weights}
        for row, weights in zip(rows, [dicts[0], {NO_TOKEN: 1e-6}], strict=True)
    ]
    assert _sent(rows, terms_type) == _sent(plain, terms_type)


@pytest.mark.parametrize("ids", NUMBERS)
def test_weights_in_other_numbers_are_sent_in_milvus_own(ids: Any) -> None:
    dense = np.ones(DIM, NUMBERS[ids])
    told = np.array([1, 5, NO_TOKEN - 1 if ids is not np.int32 else 9], ids)
    sparse = Sparse(told, np.array([0.25, 3, 1], NUMBERS[ids]))
    rows = _rows("text", [M3Output(dense=dense, sparse=sparse)] * 2)
    plain = [{**row, "sparse": sparse.to_dict()} for row in rows]
    assert _sent(rows, "text") == _sent(plain, "text")


def test_a_row_is_measured_with_its_vectors() -> None:
    (output,) = ENCODER.encode_documents(["a growling bear"], REPS)
    assert output.sparse is not None
    (row, _) = _rows("text", [output] * 2)
    without = {name: value for name, value in row.items() if name not in REPS}
    assert nbytes(row) - nbytes(without) == 4 * DIM + 8 * len(output.sparse)
