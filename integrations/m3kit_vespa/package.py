"""The application package: what is deployed before an index is opened."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping

from vespa.package import (
    HNSW,
    ApplicationPackage,
    Document,
    Field,
    FieldSet,
    Function,
    QueryField,
    QueryProfile,
    RankProfile,
    Schema,
)

from m3kit.adapters.storage import ColbertStorage
from m3kit.vectors import REPS, Rep
from m3kit_vespa.profiles import rank_profiles
from m3kit_vespa.shape import FieldType, Kind, Retrieval, Shape, rest, to_kinds

DESCRIPTION = "m3kit"
"""The schema that says what the others hold; see `m3kit_vespa.shape`."""

MOST_HITS = 1_000_000
"""How many hits a query may ask for, and skip; Vespa's own limits are 400 and 1,000."""

_TYPES: Mapping[Kind, str] = {
    "str": "string", "int": "long", "float": "double", "bool": "bool",
    "strs": "array<string>", "ints": "array<long>",
}  # fmt: skip
_CELLS = {"float32": "float", "bfloat16": "bfloat16", "int8": "int8", "binary": "int8"}


def m3_package(
    name: str,
    dim: int,
    *,
    fields: Mapping[str, FieldType] | None = None,
    reps: Collection[Rep] = REPS,
    colbert: ColbertStorage | None = None,
    sparse: Retrieval = "exact",
    max_links_per_node: int = 16,
    neighbors_to_explore_at_insert: int = 200,
    bm25: bool = False,
    into: ApplicationPackage | None = None,
) -> ApplicationPackage:
    """
    Make the application package of an index: schema, rank profiles, query profile, services.

    The same arguments make the same bytes. What it returns is pyvespa's, to be changed where
    something else is wanted (nodes, redundancy, clients), and to be deployed by pyvespa, or by
    `to_files` and `vespa deploy`.

    Args:
        name: The application's name. The schema bears it too, with `_` for `-`.
        dim: The width of the vectors.
        fields: FieldNames of the metadata that ranges and substrings go by, and queries of your own:
            `{"lang": str, "year": int, "price": float, "tags": list[str]}`. `Eq`, `In`, `Contains`
            and `Exists` need no declaration.
        reps: What the index holds.
        colbert: The form of the ColBERT vectors; float32 unless given. Vespa has no float16.
        sparse: "exact" finds all documents that share a token with the query, by an `array<int>`;
            "wand" finds the best by weights that are rounded to 1/16384, by a `weightedset<int>`,
            and leaves out most of a large collection unseen.
        max_links_per_node: Of the HNSW graph.
        neighbors_to_explore_at_insert: Of the HNSW graph.
        bm25: Whether the text is indexed as well, for a profile `bm25`.
        into: An application that is given the index's schema, in place of a new one.

    Raises:
        ValueError: If Vespa has no such names or forms.
        TypeError: If a field is declared as something that is no attribute.
        RepresentationError: If there is no representation, or an unknown one.
    """
    schema = name.replace("-", "_")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", schema) or schema == DESCRIPTION:
        raise ValueError(
            f"{name!r} names no application: small letters, digits and hyphens, a letter first, "
            f"and not {DESCRIPTION!r}"
        )
    declared = {of: to_kinds(of, type_) for of, type_ in (fields or {}).items()}
    shape = Shape(dim, frozenset(reps), colbert or ColbertStorage(), sparse, declared)
    hnsw = HNSW("prenormalized-angular", max_links_per_node, neighbors_to_explore_at_insert)
    package = into or ApplicationPackage(
        name, query_profile=QueryProfile(), create_schema_by_default=False
    )
    allow_many_hits(package)
    package.add_schema(_index(schema, shape, hnsw, bm25=bm25))
    _describe(package, schema, shape)
    return package


def allow_many_hits(package: ApplicationPackage) -> None:
    """Let queries ask for more hits than Vespa lets them, unless the package says how many."""
    profile = package.query_profile
    if profile is None:
        raise ValueError(
            "this package's query profiles are written by hand; set maxHits and maxOffset in the "
            f"default one to {MOST_HITS}, and call this function before they are"
        )
    known = {one.name for one in profile.fields}
    limits = [name for name in ("maxHits", "maxOffset") if name not in known]
    profile.add_fields(*(QueryField(name, MOST_HITS) for name in limits))


def _describe(package: ApplicationPackage, schema: str, shape: Shape) -> None:
    """Let the application say what an index holds: a rank profile for each, of constants."""
    if DESCRIPTION not in {one.name for one in package.schemas}:
        fields = [_string("of", fast=True), Field("stamp", "string", indexing=["summary"])]
        package.add_schema(Schema(DESCRIPTION, Document(fields)))
    constants = shape.to_constants()
    package.get_schema(DESCRIPTION).add_rank_profile(
        RankProfile(
            schema,
            first_phase="0",
            functions=[Function(name, f"{value}") for name, value in constants.items()],
            match_features=list(constants),
        )
    )


def _index(name: str, shape: Shape, hnsw: HNSW, *, bm25: bool) -> Schema:
    return Schema(
        name,
        Document([*_document_fields(bm25=bm25), *_attributes(shape), *_vectors(shape, hnsw)]),
        fieldsets=[FieldSet("default", ["text"])] if bm25 else None,
        rank_profiles=[
            *rank_profiles(shape),
            *([RankProfile("bm25", first_phase="bm25(text)")] if bm25 else []),
        ],
    )


def _document_fields(*, bm25: bool) -> Iterator[Field]:
    yield _string("key", fast=True)
    yield _string("id")
    if bm25:
        yield Field("text", "string", indexing=["summary", "index"], index="enable-bm25")
    else:
        yield Field("text", "string", indexing=["summary"])
    yield Field("metadata", "string", indexing=["summary"])
    yield _string("terms", "array<string>", fast=True)
    yield Field("salt", "int", indexing=["attribute"])


def _attributes(shape: Shape) -> Iterator[Field]:
    for _, kind, name in shape.attributes():
        if kind in ("str", "strs"):
            yield _string(name, _TYPES[kind])
        else:
            yield Field(name, _TYPES[kind], indexing=["attribute", "summary"])
        if kind == "float":
            yield Field(rest(name), "int", indexing=["attribute"])


def _vectors(shape: Shape, hnsw: HNSW) -> Iterator[Field]:
    kept = ["attribute", "summary"]
    if "dense" in shape.reps:
        type_ = f"tensor<float>(x[{shape.dim}])"
        yield Field("dense", type_, indexing=["attribute", "index", "summary"], ann=hnsw)
    if "sparse" in shape.reps:
        yield Field("sparse", "tensor<float>(token{})", indexing=kept)
        if shape.sparse == "wand":
            yield _ids("tokens", "weightedset<int>")
        else:
            yield _ids("token_ids", "array<int>")
    if "colbert" in shape.reps:
        dtype = shape.colbert.dtype
        width = shape.dim // 8 if dtype == "binary" else shape.dim
        yield Field("colbert", f"tensor<{_CELLS[dtype]}>(t{{}}, x[{width}])", indexing=kept)


def _string(name: str, type_: str = "string", *, fast: bool = False) -> Field:
    """Declare an attribute that tells upper from lower case, which Vespa folds otherwise."""
    return Field(
        name,
        type_,
        indexing=["attribute", "summary"],
        attribute=["fast-search"] if fast else None,
        match=["word", "cased"],
        rank="filter",
    )


def _ids(name: str, type_: str) -> Field:
    return Field(name, type_, indexing=["attribute"], attribute=["fast-search"])


def stamp_text(model: str | None) -> str:
    """Write what an index keeps of itself beside its shape."""
    return json.dumps({"model": model})
