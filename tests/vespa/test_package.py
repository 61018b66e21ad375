"""The text of the application package: deterministic, complete, and refused where Vespa would."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from tests.vespa.application import NOTEBOOK, OPTIONS, TYPED, application, notebook
from tests.vespa_peer.peer import validate
from vespa.package import ApplicationPackage, Document, Field, QueryField, Schema

from m3kit.adapters.field_names import FieldNames
from m3kit.adapters.storage import ColbertStorage, ColbertType
from m3kit.index import RepresentationError
from m3kit.testing import DIM
from m3kit_vespa import add_profiles, m3_package
from m3kit_vespa.field_types import RESERVED, attribute_name
from m3kit_vespa.package import MAX_HITS


def written(package: ApplicationPackage, folder: Path) -> dict[str, str]:
    folder.mkdir()
    package.to_files(folder)
    return {
        str(path.relative_to(folder)): path.read_text(encoding="utf-8")
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def two() -> ApplicationPackage:
    package = m3_package("papers", DIM, field_types=TYPED)
    return m3_package("wands", DIM, field_types={"b": str}, sparse="wand", into=package)


def test_the_same_package_twice_is_the_same_bytes(tmp_path: Path) -> None:
    first = written(two(), tmp_path / "first")
    assert written(two(), tmp_path / "second") == first
    assert {"services.xml", "schemas/papers.sd", "schemas/m3kit.sd"} <= set(first)


def test_no_function_bears_a_fields_name(tmp_path: Path) -> None:
    for name, text in written(two(), tmp_path / "a").items():
        if name.endswith(".sd"):
            fields = set(re.findall(r"^\s+field (\S+) type", text, re.MULTILINE))
            functions = set(re.findall(r"^\s+function (\w+)\(", text, re.MULTILINE))
            assert fields
            assert not fields & functions


def test_declared_fields_are_typed_and_cased_attributes(tmp_path: Path) -> None:
    package = m3_package("papers", DIM, field_types={**TYPED, "range": float, "a b": str})
    schema = written(package, tmp_path / "a")["schemas/papers.sd"]
    types = dict(re.findall(r"field (\S+) type (\S+) {", schema))
    expected = {
        "lang": "string", "year": "long", "price": "double", "open": "bool",
        "tags": "array<string>", "sizes": "array<long>", "x_612062": "string",
        "x_72616e6765": "double",
    }  # fmt: skip
    assert expected.items() <= types.items()
    for name in ("lang", "tags", "id", "terms"):
        block = schema.split(f"field {name} type")[1].split("field ")[0]
        assert "cased" in block


@pytest.mark.parametrize(
    ("dtype", "type_", "expected"),
    [
        ("float32", "tensor<float>(t{}, x[32])", "attribute(colbert)"),
        ("bfloat16", "tensor<bfloat16>(t{}, x[32])", "attribute(colbert)"),
        ("int8", "tensor<int8>(t{}, x[32])", "* 127"),
        ("binary", "tensor<int8>(t{}, x[4])", "unpack_bits(attribute(colbert))"),
    ],
)
def test_colbert_has_cells_of_its_form(
    dtype: ColbertType, type_: str, expected: str, tmp_path: Path
) -> None:
    package = m3_package("papers", DIM, colbert=ColbertStorage(dtype))
    schema = written(package, tmp_path / "a")["schemas/papers.sd"]
    assert f"field colbert type {type_}" in schema
    assert expected in schema


def test_the_graph_is_the_users(tmp_path: Path) -> None:
    package = m3_package("p", DIM, max_links_per_node=24, neighbors_to_explore_at_insert=300)
    schema = written(package, tmp_path / "a")["schemas/p.sd"]
    for expected in (
        "distance-metric: prenormalized-angular",
        "max-links-per-node: 24",
        "neighbors-to-explore-at-insert: 300",
    ):
        assert expected in schema


def test_queries_may_ask_for_many_hits_unless_the_package_says_how_many() -> None:
    package = ApplicationPackage("mine")
    assert package.query_profile is not None
    package.query_profile.add_fields(QueryField("maxHits", 5))
    m3_package("papers", DIM, into=package)
    limits = {field.name: field.value for field in package.query_profile.fields}
    assert limits == {"maxHits": 5, "maxOffset": MAX_HITS}
    assert {"papers", "m3kit"} <= {schema.name for schema in package.schemas}


@pytest.mark.parametrize(
    ("options", "error", "expected"),
    [
        ({"colbert": ColbertStorage("float16")}, ValueError, "'bfloat16'"),
        ({"dim": 12, "colbert": ColbertStorage("binary")}, ValueError, "multiple of 8"),
        ({"dim": 0}, ValueError, "at least 1"),
        ({"reps": []}, RepresentationError, "holds some of"),
        ({"reps": ["lexical"]}, RepresentationError, "lexical"),
        ({"sparse": "weakand"}, ValueError, "'exact' or 'wand'"),
        ({"field_types": {"a": dict}}, TypeError, "declared as <class 'dict'>"),
        ({"field_types": {"a": int | float}}, TypeError, r"float \(any number\)"),
        ({"name": "Papers"}, ValueError, "small letters"),
        ({"name": "m3kit"}, ValueError, "m3kit"),
        ({"name": "a.b"}, ValueError, "small letters"),
    ],
)
def test_what_vespa_cannot_hold_is_refused(
    options: dict[str, Any], error: type[Exception], expected: str
) -> None:
    with pytest.raises(error, match=expected):
        m3_package(options.pop("name", "papers"), options.pop("dim", DIM), **options)


def test_what_an_existing_schema_lacks_is_spelled_out() -> None:
    package = ApplicationPackage("mine", schema=[notebook()])
    names = FieldNames(text="body", dense="vector", sparse="lexical_rep", colbert="text")
    with pytest.raises(ValueError, match="schema 'm' does not hold") as caught:
        add_profiles(package, "m", names, dim=64)
    expected = str(caught.value)
    assert "there is no field 'vector'" in expected
    assert "field vector type tensor<float>(x[64])" in expected
    assert "'text' is a string" in expected
    assert "lexical_rep" not in expected
    add_profiles(package, "m", NOTEBOOK, dim=DIM)
    assert "m3_dense" in package.get_schema("m").rank_profiles


def test_vectors_that_are_no_attribute_are_refused() -> None:
    field = Field("v", f"tensor<float>(x[{DIM}])", indexing=["summary"])
    package = ApplicationPackage("mine", schema=[Schema("m", Document([field]))])
    with pytest.raises(ValueError, match="'v' is no attribute"):
        add_profiles(package, "m", FieldNames(dense="v"), dim=DIM)


@pytest.mark.peer
def test_every_package_deploys(tmp_path: Path) -> None:
    """Each combination of options is a schema: one application is checked faster than many."""
    fields = {**dict.fromkeys(sorted(RESERVED), str), **TYPED, "a.b": float, "ключ": str}
    every = m3_package("papers-2", DIM, field_types=fields)
    for number, options in enumerate(OPTIONS):
        m3_package(f"papers-{number}-of-all", DIM, into=every, **options)
    assert len(every.schemas) == len(OPTIONS) + 2
    packages = {"every": every, "tested": application()}
    for name, package in packages.items():
        (tmp_path / name).mkdir()
        package.to_files(tmp_path / name)
    reports = validate(*(tmp_path / name for name in packages))
    assert [(report.verdict, report.messages) for report in reports] == [("OK", ())] * 2
    assert {attribute_name(word) for word in RESERVED} == {
        f"x_{word.encode().hex()}" for word in RESERVED
    }
