from __future__ import annotations

import pytest

from m3kit import FieldNames


def test_what_has_a_field_is_what_the_collection_holds() -> None:
    fields = FieldNames(dense="vector", sparse="lexical")
    assert fields.reps == {"dense", "sparse"}
    assert [fields.vector(rep) for rep in ("dense", "sparse", "colbert")] == [
        "vector",
        "lexical",
        None,
    ]


def test_an_unnamed_vector_is_a_field_too() -> None:
    assert FieldNames(dense="").reps == {"dense"}
    assert FieldNames(colbert="").vector("colbert") == ""


def test_a_collection_without_vectors_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one of dense, sparse, colbert"):
        FieldNames(id="id", text="page_content", metadata="metadata")


@pytest.mark.parametrize(
    "names",
    [
        {"dense": "text"},
        {"dense": "vector", "sparse": "vector"},
        {"dense": "vector", "id": "m", "metadata": "m"},
        {"dense": "", "colbert": ""},
    ],
    ids=str,
)
def test_two_fields_of_one_name_are_refused(names: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="two fields have one name"):
        FieldNames(**names)
