"""
ColBERT as an array of structs: what pymilvus makes of our schema, rows and queries.

No engine here holds such a field; `tests/containers/test_milvus.py` asks a server.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pymilvus import DataType, MilvusClient
from pymilvus.client.entity_helper import sparse_proto_to_rows
from pymilvus.client.prepare import Prepare
from tests.milvus.test_layout import new_layout

from m3kit.adapters.manifest import Manifest
from m3kit.adapters.storage import ColbertStorage
from m3kit.index import DocumentError, RepresentationError
from m3kit.records import Document, Record
from m3kit.scoring import maxsim, require
from m3kit.testing import DIM, DOCUMENTS, ENCODER, assert_same_vectors, query, records
from m3kit.vectors import REPS
from m3kit_milvus import MilvusIndex
from m3kit_milvus.layout import Layout
from m3kit_milvus.provision import new_schema
from m3kit_milvus.vectors import MAX_VECTORS, TOKEN, anns_field, to_output, to_query, to_score

STORAGES = {
    ColbertStorage(): DataType.FLOAT_VECTOR,
    ColbertStorage("float16", pool_factor=2): DataType.FLOAT16_VECTOR,
    ColbertStorage("int8"): DataType.INT8_VECTOR,
}


def _layout(storage: ColbertStorage) -> Layout:
    manifest = Manifest(DIM, frozenset(REPS), None, storage)
    return new_layout(manifest, "server")


@pytest.fixture(params=STORAGES, ids=str)
def storage(request: pytest.FixtureRequest) -> ColbertStorage:
    assert isinstance(request.param, ColbertStorage)
    return request.param


def test_a_vector_of_a_token_is_a_struct(storage: ColbertStorage) -> None:
    schema = new_schema(_layout(storage).manifest, "server", None)
    request = Prepare.create_collection_request("papers", schema)
    assert request.collection_name == "papers"
    (struct,) = schema.struct_fields
    (token,) = struct.fields
    assert (struct.name, struct.max_capacity) == ("colbert", MAX_VECTORS)
    assert (token.name, token.dtype, token.params["dim"]) == (TOKEN, STORAGES[storage], DIM)
    assert anns_field("colbert", "colbert") == "colbert[token]"


def test_pymilvus_takes_a_row_and_it_comes_back(storage: ColbertStorage) -> None:
    layout = _layout(storage)
    shape = new_schema(layout.manifest, "server", None).to_dict()
    (stored,) = records(DOCUMENTS[3:4], storage)
    row = layout.to_row(stored)
    request = Prepare.row_upsert_param(
        "papers",
        [row],
        "",
        fields_info=shape["fields"],
        struct_fields_info=shape["struct_fields"],
    )
    assert "colbert" in {field.field_name for field in request.fields_data}
    assert len(row["colbert"]) == len(require(stored.output.colbert, "colbert"))
    as_bytes = [{TOKEN: cell[TOKEN].tobytes()} for cell in row["colbert"]]
    as_numbers = [{TOKEN: cell[TOKEN].tolist()} for cell in row["colbert"]]
    (sparse,) = [field.vectors for field in request.fields_data if field.field_name == "sparse"]
    (weights,) = sparse_proto_to_rows(sparse.sparse_float_vector)
    forms = [as_numbers] if storage.dtype == "float32" else [as_numbers, as_bytes]
    for form in forms:
        got = to_output(
            {**row, "sparse": weights, "colbert": form}, layout.columns, REPS, storage.dtype
        )
        assert_same_vectors(got, stored.output, REPS)


def test_a_sum_of_the_engines_becomes_the_mean_that_is_m3s_score(storage: ColbertStorage) -> None:
    encoded = query("the growling bear", "colbert")
    rows = require(records(DOCUMENTS[:1], storage)[0].output.colbert, "colbert")
    vectors = np.asarray(to_query(encoded, "colbert", storage.dtype).to_numpy(), np.float32)
    scaled = rows * 127 if storage.dtype == "int8" else rows
    engines = float((vectors @ scaled.T).max(axis=1).sum())
    score = to_score(engines, "MAX_SIM_IP", encoded, storage.dtype)
    exact = maxsim(require(encoded.colbert, "colbert"), [rows])
    assert score == pytest.approx(float(exact[0]), abs=1e-2)


def test_more_vectors_than_an_array_holds_are_refused_and_the_remedy_named() -> None:
    (output,) = ENCODER.encode_documents([" ".join(f"word{n}" for n in range(MAX_VECTORS))])
    record = Record(Document("long", ""), output)
    with pytest.raises(
        DocumentError, match=r"has 4097 ColBERT vectors.*ColbertStorage\(pool_factor=2\)"
    ):
        _layout(ColbertStorage()).to_row(record)


@pytest.mark.parametrize("dtype", ["bfloat16", "binary"])
def test_numbers_that_milvus_does_not_compare_are_refused(client: MilvusClient, dtype: Any) -> None:
    with pytest.raises(
        RepresentationError, match=f"stored as {dtype}; store them as one of float32, float16"
    ):
        MilvusIndex(client, "papers", dim=DIM, reps=REPS, colbert=ColbertStorage(dtype))
    assert not client.has_collection("papers")


def test_a_server_that_drops_the_field_is_found_out(client: MilvusClient) -> None:
    with pytest.raises(
        RepresentationError, match=r"it has dropped their field.*m3kit\.WithColbert"
    ):
        MilvusIndex(client, "papers", dim=DIM, reps=REPS)
    assert not client.has_collection("papers")
