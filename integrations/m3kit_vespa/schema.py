"""The schema that `m3_package` makes; see `m3kit_vespa.layout` for what its fields mean."""

from __future__ import annotations

from collections.abc import Iterator

from vespa.package import HNSW, Document, Field, FieldSet, RankProfile, Schema

from m3kit_vespa.layout import Layout
from m3kit_vespa.profiles import rank_profiles

_CELLS = {"float32": "float", "bfloat16": "bfloat16", "int8": "int8", "binary": "int8"}


def index_schema(name: str, layout: Layout, hnsw: HNSW, *, bm25: bool) -> Schema:
    """Make the schema of an index, with its rank profiles."""
    return Schema(
        name,
        Document([*_document(bm25=bm25), *_attributes(layout), *_vectors(layout, hnsw)]),
        fieldsets=[FieldSet("default", ["text"])] if bm25 else None,
        rank_profiles=[
            *rank_profiles(layout.manifest),
            *([RankProfile("bm25", first_phase="bm25(text)")] if bm25 else []),
        ],
    )


def _document(*, bm25: bool) -> Iterator[Field]:
    yield string_field("id")
    if bm25:
        yield Field("text", "string", indexing=["summary", "index"], index="enable-bm25")
    else:
        yield Field("text", "string", indexing=["summary"])
    yield Field("metadata", "string", indexing=["summary"])
    yield string_field("terms", "array<string>")
    yield Field("salt", "int", indexing=["attribute"])


def _attributes(layout: Layout) -> Iterator[Field]:
    for name, type_ in layout.field_types.items():
        attribute = layout.attribute(name)
        if "string" in type_:
            yield string_field(attribute, type_)
        else:
            fast = None if type_ == "bool" else ["fast-search"]
            yield Field(attribute, type_, indexing=["attribute", "summary"], attribute=fast)


def _vectors(layout: Layout, hnsw: HNSW) -> Iterator[Field]:
    manifest = layout.manifest
    stored = ["attribute", "summary"]
    if "dense" in manifest.reps:
        type_ = f"tensor<float>(x[{manifest.dim}])"
        yield Field("dense", type_, indexing=["attribute", "index", "summary"], ann=hnsw)
    if "sparse" in manifest.reps:
        yield Field("sparse", "tensor<float>(token{})", indexing=stored)
        if layout.retrieval == "wand":
            yield _token_ids("tokens", "weightedset<int>")
        else:
            yield _token_ids("token_ids", "array<int>")
    if "colbert" in manifest.reps:
        dtype = manifest.colbert.dtype
        width = manifest.dim // 8 if dtype == "binary" else manifest.dim
        yield Field("colbert", f"tensor<{_CELLS[dtype]}>(t{{}}, x[{width}])", indexing=stored)


def string_field(name: str, type_: str = "string") -> Field:
    """Declare an attribute that tells upper from lower case, which Vespa folds otherwise."""
    return Field(
        name,
        type_,
        indexing=["attribute", "summary"],
        attribute=["fast-search"],
        match=["word", "cased"],
        rank="filter",
    )


def _token_ids(name: str, type_: str) -> Field:
    return Field(name, type_, indexing=["attribute"], attribute=["fast-search"])
