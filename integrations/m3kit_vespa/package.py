"""The application package: what is deployed before an index is opened."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import get_args

from vespa.package import (
    HNSW,
    ApplicationPackage,
    Document,
    Field,
    Function,
    QueryField,
    QueryProfile,
    RankProfile,
    Schema,
)

from m3kit.adapters.field_names import FieldNames
from m3kit.adapters.manifest import Manifest
from m3kit.adapters.storage import ColbertStorage
from m3kit.vectors import REPS, Rep
from m3kit_vespa.field_types import FieldType, to_attribute_type
from m3kit_vespa.layout import M3KIT, Layout, Retrieval
from m3kit_vespa.profiles import Vectors, score_profiles
from m3kit_vespa.provision import DESCRIPTION, RECORDED, to_constants
from m3kit_vespa.schema import index_schema, string_field

MAX_HITS = 1_000_000
"""How many hits a query may ask for, and skip; Vespa's own limits are 400 and 1,000."""

_TENSOR = re.compile(r"tensor(?:<(\w+)>)?\((.*)\)")
_WANTED: Mapping[Rep, str] = {
    "dense": "tensor<float>(x[{0}])",
    "sparse": "tensor<float>(token{{}})",
    "colbert": "tensor<bfloat16>(t{{}}, x[{0}])",
}


def m3_package(
    name: str,
    dim: int,
    *,
    field_types: Mapping[str, FieldType] | None = None,
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
        field_types: The fields of the metadata that become attributes:
            `{"lang": str, "year": int, "price": float, "tags": list[str]}`. Filters go by them.
            Filters reach undeclared fields too, but a `Range` or `Substring` reads every document
            that has the field. After declaring another field, write the documents again.
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
        TypeError: If a field is declared as something that no attribute can hold.
        RepresentationError: If there is no representation, or an unknown one.
    """
    schema = name.replace("-", "_")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", schema) or schema == DESCRIPTION:
        raise ValueError(
            f"{name!r} cannot name an application: use small letters, digits and hyphens, a letter "
            f"first, and not {DESCRIPTION!r}"
        )
    types = {of: to_attribute_type(of, type_) for of, type_ in (field_types or {}).items()}
    manifest = Manifest(dim, frozenset(reps), None, colbert or ColbertStorage())
    layout = Layout(M3KIT, manifest, types, sparse)
    _check(layout)
    hnsw = HNSW("prenormalized-angular", max_links_per_node, neighbors_to_explore_at_insert)
    package = into or ApplicationPackage(
        name, query_profile=QueryProfile(), create_schema_by_default=False
    )
    allow_many_hits(package)
    package.add_schema(index_schema(schema, layout, hnsw, bm25=bm25))
    _describe(package, schema, layout)
    return package


def add_profiles(package: ApplicationPackage, schema: str, fields: FieldNames, *, dim: int) -> None:
    """
    Add the rank profiles that `VespaIndex` uses to a schema of an application package.

    Deploy the package afterwards; nothing is to be fed again.

    Args:
        package: The package, changed in place.
        schema: The schema's name.
        fields: The fields of its vectors.
        dim: The width of its vectors.

    Raises:
        ValueError: If a field is missing or of another shape; says how it would be declared.
    """
    changed = package.get_schema(schema)
    declared = {field.name: field for field in changed.document.fields}
    missing = [
        reason
        for rep in REPS
        if (name := fields.vector(rep)) is not None
        and (reason := _lacks(rep, name, declared.get(name), dim)) is not None
    ]
    if missing:
        raise ValueError(f"the schema {schema!r} does not hold what M3 needs: {'; '.join(missing)}")
    vectors = {rep: _dimensions(declared[fields.vector(rep) or ""]) for rep in fields.reps}
    for profile in score_profiles(Manifest(dim, fields.reps, None), vectors):
        changed.add_rank_profile(profile)
    allow_many_hits(package)


def allow_many_hits(package: ApplicationPackage) -> None:
    """Let queries ask for more hits than Vespa lets them, unless the package says how many."""
    profile = package.query_profile
    if profile is None:
        raise ValueError(
            "this package's query profiles are written by hand; set maxHits and maxOffset in the "
            f"default one to {MAX_HITS}, and call this function before they are"
        )
    known = {field.name for field in profile.fields}
    limits = [name for name in ("maxHits", "maxOffset") if name not in known]
    profile.add_fields(*(QueryField(name, MAX_HITS) for name in limits))


def _check(layout: Layout) -> None:
    manifest, retrieval = layout.manifest, layout.retrieval
    if retrieval not in get_args(Retrieval):
        raise ValueError(f"the sparse branch retrieves by 'exact' or 'wand', not {retrieval!r}")
    if manifest.colbert.dtype == "float16":
        raise ValueError("Vespa has no float16 cells; store ColBERT vectors as 'bfloat16'")
    if manifest.colbert.dtype == "binary" and manifest.dim % 8:
        raise ValueError(
            f"binary ColBERT vectors are stored 8 dimensions to a byte, and {manifest.dim} is not "
            "a multiple of 8; store them as 'int8'"
        )


def _describe(package: ApplicationPackage, schema: str, layout: Layout) -> None:
    """Let the application say what an index holds; see `m3kit_vespa.provision`."""
    if DESCRIPTION not in {schema.name for schema in package.schemas}:
        recorded = [Field(name, "string", indexing=["summary"]) for name in RECORDED]
        package.add_schema(Schema(DESCRIPTION, Document([string_field("of"), *recorded])))
    constants = to_constants(layout)
    package.get_schema(DESCRIPTION).add_rank_profile(
        RankProfile(
            schema,
            first_phase="0",
            functions=[Function(name, f"{value}") for name, value in constants.items()],
            match_features=list(constants),
        )
    )


def _dimensions(field: Field) -> Vectors:
    """Read the dimensions of a field's type."""
    named = {
        "{}" if dimension.endswith("{}") else "[]": re.split(r"[{\[]", dimension)[0]
        for dimension in _parsed(field)[1]
    }
    return Vectors(field.name, mapped=named.get("{}", ""), indexed=named.get("[]", ""))


def _lacks(rep: Rep, name: str, field: Field | None, dim: int) -> str | None:
    """Say what is wrong with a field of vectors."""
    type_ = _WANTED[rep].format(dim)
    wanted = f"declare `field {name} type {type_} {{ indexing: attribute | summary }}`"
    if field is None:
        return f"there is no field {name!r}; {wanted}"
    cells, dimensions = _parsed(field)
    shape = sorted(re.sub(r"\w+(?=[\[{])", "", dimension) for dimension in dimensions)
    expected = {"dense": [f"[{dim}]"], "sparse": ["{}"], "colbert": [f"[{dim}]", "{}"]}[rep]
    if shape != expected or cells not in {"float", "bfloat16", "double"}:
        return f"{name!r} is a {field.type}; {wanted}"
    if "attribute" not in (field.indexing or []):
        return f"{name!r} is no attribute; {wanted}"
    return None


def _parsed(field: Field) -> tuple[str, list[str]]:
    """Read the cells and the dimensions of a tensor's type."""
    match = _TENSOR.fullmatch(field.type.strip())
    if match is None:
        return "", []
    return match[1] or "double", [dimension.strip() for dimension in match[2].split(",")]
