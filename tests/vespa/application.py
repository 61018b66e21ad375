"""The application that the tests of Vespa deploy: an index of each kind, and a schema of others."""

from __future__ import annotations

from itertools import cycle, product
from typing import Any, get_args

from tests.filter_cases import FIELDS
from vespa.package import (
    ApplicationPackage,
    Document,
    Field,
    FieldSet,
    Function,
    RankProfile,
    Schema,
)

from m3kit.adapters.field_names import FieldNames
from m3kit.adapters.storage import ColbertStorage, ColbertType
from m3kit.testing import DIM
from m3kit.vectors import Rep
from m3kit_vespa import add_profiles, m3_package
from m3kit_vespa.field_types import FieldType
from m3kit_vespa.layout import Retrieval

SUITE: dict[str, FieldType] = {
    "a": str, "a.b": float, "even": bool, "flag": bool, "lang": str, "list": list[str], "m": float,
    "missing": str, "n": float, "number": float, "numbers": list[int], "string": str,
    "strings": list[str], "tags": list[str], "with space": float, "ключ": str,
}  # fmt: skip
"""The fields of the conformance suite; it puts values of other types in them, too."""

TYPES: list[FieldType] = [str, float, bool, list[str], list[int]]
FORMS = {
    "bfloat": ColbertStorage("bfloat16", pool_factor=2),
    "ints": ColbertStorage("int8"),
    "bits": ColbertStorage("binary"),
}
TYPED: dict[str, FieldType] = {
    "lang": str, "year": int, "price": float, "open": bool, "tags": list[str], "sizes": list[int],
}  # fmt: skip
CASES: dict[str, list[FieldType]] = {
    "cases": TYPES,
    "rotated": [*TYPES[1:], *TYPES[:1]],
    "turned": [*TYPES[3:], *TYPES[:3]],
    "undeclared": [],
}
"""Indexes in which filters of all kinds are sought, and how their fields are declared in turn."""

NOTEBOOK = FieldNames(id="id", dense="dense_rep", sparse="lexical_rep", colbert="colbert_rep")


_REPS: list[list[Rep]] = [
    ["dense"],
    ["sparse"],
    ["colbert"],
    ["dense", "sparse"],
    ["dense", "colbert"],
    ["sparse", "colbert"],
    ["dense", "sparse", "colbert"],
]
_DTYPES = [dtype for dtype in get_args(ColbertType) if dtype != "float16"]
OPTIONS: list[dict[str, Any]] = [
    {"reps": reps, "colbert": ColbertStorage(dtype, pool_factor=3), "sparse": sparse, "bm25": bm25}
    for reps, dtype, sparse, bm25 in product(_REPS, _DTYPES, get_args(Retrieval), (False, True))
    if ("colbert" in reps or dtype == "float32") and ("sparse" in reps or sparse == "exact")
]
"""What `m3_package` may be given, in every combination."""


def application() -> ApplicationPackage:
    """Every index that the tests open, in one application, so that one peer serves them all."""
    package = m3_package("papers", DIM, field_types=SUITE)
    m3_package("wands", DIM, sparse="wand", into=package)
    for name, storage in FORMS.items():
        m3_package(name, DIM, field_types=SUITE, colbert=storage, into=package)
    fields = [*FIELDS, "missing", "a.c", "b"]
    for name, types in CASES.items():
        declared = dict(zip(fields, cycle(types), strict=False))
        m3_package(name, DIM, field_types=declared, reps=["dense"], into=package)
    m3_package("typed", DIM, field_types=TYPED, into=package)
    m3_package("recorded", DIM, reps=["dense"], into=package)
    m3_package("raced", DIM, reps=["dense"], into=package)
    m3_package("encoded", DIM, into=package)
    package.get_schema("m3kit").add_rank_profile(
        RankProfile("earlier", "0", functions=[Function("dim", "32")], match_features=["dim"])
    )
    m3_package("six", 6, reps=["dense"], into=package)
    package.add_schema(notebook())
    add_profiles(package, "m", NOTEBOOK, dim=DIM)
    package.add_schema(shop())
    add_profiles(package, "shop", SHOP, dim=DIM)
    return package


def notebook() -> Schema:
    """The schema of the M3 notebook in pyvespa's documentation, narrower, with a year beside it."""
    return Schema(
        "m",
        Document(
            [
                Field("id", "string", indexing=["summary"]),
                Field("text", "string", indexing=["summary", "index"], index="enable-bm25"),
                Field("year", "int", indexing=["summary", "attribute"]),
                Field("lexical_rep", "tensor<bfloat16>(t{})", indexing=["summary", "attribute"]),
                Field(
                    "dense_rep",
                    f"tensor<bfloat16>(x[{DIM}])",
                    indexing=["summary", "attribute"],
                    attribute=["distance-metric: angular"],
                ),
                Field(
                    "colbert_rep",
                    f"tensor<bfloat16>(t{{}}, x[{DIM}])",
                    indexing=["summary", "attribute"],
                ),
            ]
        ),
        fieldsets=[FieldSet("default", ["text"])],
        rank_profiles=[RankProfile("m3hybrid", "sum(attribute(lexical_rep))")],
    )


SHOP = FieldNames(text="body", dense="vector")
SHOP_TYPES: dict[str, FieldType] = {
    "lang": str, "year": int, "price": float, "open": bool, "tags": list[str],
}  # fmt: skip


def shop() -> Schema:
    """A schema of somebody who knows nothing of M3: uncased strings, floats of 32 bits, no ids."""
    stored = ["summary", "attribute"]
    vector = Field("vector", f"tensor<float>(x[{DIM}])", indexing=stored)
    types = {
        "lang": "string", "year": "int", "price": "float", "open": "bool", "tags": "array<string>",
    }  # fmt: skip
    attributes = [Field(name, type_, indexing=stored) for name, type_ in types.items()]
    body = Field("body", "string", indexing=["summary"])
    return Schema("shop", Document([body, vector, *attributes]))
