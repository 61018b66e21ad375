"""Creating a collection, and checking one that exists."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pymilvus import CollectionSchema, DataType, MilvusClient, MilvusException

from m3kit.adapters.field_names import FieldNames
from m3kit.adapters.manifest import IndexRequest, Manifest
from m3kit.index import IndexNotFoundError, RepresentationError
from m3kit.vectors import REPS
from m3kit_milvus.client import CollectionClient, Engine, Row
from m3kit_milvus.layout import M3KIT, TEXT_BYTES, Layout
from m3kit_milvus.options import MilvusOptions
from m3kit_milvus.private import ID, METADATA, PARTITION, PARTITION_BYTES
from m3kit_milvus.schema import check_rows, describe_fields, read_layout
from m3kit_milvus.terms import TERMS
from m3kit_milvus.vectors import COLBERT_TYPES, MAX_VECTORS, TOKEN, anns_field

_PROPERTY = "m3kit"


def provision(
    client: CollectionClient,
    request: IndexRequest,
    names: FieldNames | None,
    options: MilvusOptions,
    what: str,
) -> Layout:
    """
    Open a collection for searching; where there is none, create it.

    What another process left half created is completed.

    Args:
        client: Calls the collection.
        request: What the caller wants of the index.
        names: The field names of a collection that m3kit did not create.
        options: How a new collection is created, and any is searched.
        what: What an error calls it.

    Raises:
        IndexNotFoundError: If there is none to open, or it does not serve.
        ModelMismatchError: If it was made by another model or with another width.
        RepresentationError: If the server holds no ColBERT vectors, and they are wanted.
    """
    with client.lock:
        if not client.exists():
            if names is not None:
                raise IndexNotFoundError(
                    f"there is no such thing as {what}; leave fields= out to create one"
                )
            _create(client, request.new_manifest(what), options, what)
        description = client.describe()
        stored = _read_manifest(description, what)
        if names is None:
            if stored is None:
                raise IndexNotFoundError(
                    f"{what} was not created by m3kit; pass fields=FieldNames(…). "
                    f"{describe_fields(client, description)}"
                )
            _check_fields(description, stored[0], what)
            _create_indexes(client, stored[0], options)
            names = _names(stored[0])
        layout = read_layout(
            client, description, names, options, what, stored=stored, model=request.model
        )
        request.check(layout.manifest, what)
        client.load()
    if stored is None:
        check_rows(client, layout)
    return layout


def new_schema(manifest: Manifest, engine: Engine, partition_key: str | None) -> CollectionSchema:
    """Describe a collection that m3kit creates."""
    schema = MilvusClient.create_schema(
        auto_id=False, enable_dynamic_field=False, description=_text(manifest, partition_key)
    )
    schema.add_field("id", DataType.VARCHAR, is_primary=True, max_length=TEXT_BYTES)
    schema.add_field("text", DataType.VARCHAR, max_length=TEXT_BYTES)
    schema.add_field("metadata", DataType.JSON)
    private = METADATA if engine == "server" else TERMS
    default = {} if engine == "core" else {"default_value": ""}
    schema.add_field(private, DataType.VARCHAR, max_length=TEXT_BYTES, **default)
    if engine == "core":
        schema.add_field(ID, DataType.VARCHAR, max_length=TEXT_BYTES)
    if partition_key is not None:
        schema.add_field(
            PARTITION, DataType.VARCHAR, max_length=PARTITION_BYTES, is_partition_key=True
        )
    if "dense" in manifest.reps:
        schema.add_field("dense", DataType.FLOAT_VECTOR, dim=manifest.dim)
    if "sparse" in manifest.reps:
        schema.add_field("sparse", DataType.SPARSE_FLOAT_VECTOR)
    if "colbert" in manifest.reps:
        token = MilvusClient.create_struct_field_schema()
        token.add_field(TOKEN, COLBERT_TYPES[manifest.colbert.dtype], dim=manifest.dim)
        schema.add_field(
            "colbert",
            DataType.ARRAY,
            element_type=DataType.STRUCT,
            struct_schema=token,
            max_capacity=MAX_VECTORS,
        )
    return schema


def json_path(field: str) -> str:
    """Return the path of a field of the metadata, as JSON path indexes name it."""
    return f'metadata["{field}"]'


def json_index_params(field: str, cast_type: str) -> Row:
    """Return the JSON path index of a field of the metadata."""
    params = {"json_path": json_path(field), "json_cast_type": cast_type}
    return {"index_type": "INVERTED", "params": params}


def _create(
    client: CollectionClient, manifest: Manifest, options: MilvusOptions, what: str
) -> None:
    if "colbert" in manifest.reps and manifest.colbert.dtype not in COLBERT_TYPES:
        raise RepresentationError(
            f"Milvus compares no ColBERT vectors stored as {manifest.colbert.dtype}; store them as "
            f"one of {', '.join(COLBERT_TYPES)}"
        )
    create = {**options.create}
    properties = {**create.pop("properties", {}), _PROPERTY: _text(manifest, options.partition_key)}
    try:
        client.call(
            "create_collection",
            client.name,
            schema=new_schema(manifest, client.engine, options.partition_key),
            properties=properties,
            consistency_level=options.consistency_level,
            **create,
        )
    except MilvusException as error:
        if client.exists():
            return  # another worker was faster, and its manifest is checked
        if client.engine == "lite" and "File exists" in error.message:
            raise IndexNotFoundError(
                f"Milvus Lite cannot create {what} ({error.message}), whose creation a kill has "
                "interrupted; stop its server, remove that folder, which holds no data, and start "
                "it"
            ) from error
        if "colbert" in manifest.reps:
            raise _no_colbert(error.message, what) from error
        raise
    if "colbert" in manifest.reps and "colbert" not in _field_types(client.describe()):
        client.call("drop_collection", client.name)
        raise _no_colbert("it has dropped their field", what)


def _create_indexes(client: CollectionClient, manifest: Manifest, options: MilvusOptions) -> None:
    """Create the indexes that are missing, as where a process died before it created them."""
    for rep in manifest.reps:
        field = anns_field(rep, rep)
        if client.index(field) is None:
            client.create_index(field, rep, options.index_params(rep))
    if client.engine != "server" or not options.json_indexes:
        return
    indexed = client.indexed_paths("metadata")
    for name, cast_type in options.json_indexes.items():
        if json_path(name) not in indexed:
            client.create_index(
                "metadata", f"metadata_{len(indexed)}", json_index_params(name, cast_type)
            )
            indexed.add(json_path(name))


def _read_manifest(description: Row, what: str) -> tuple[Manifest, str | None] | None:
    """
    Read the manifest and the partition key, or None where a collection has no manifest.

    Milvus Lite keeps properties and drops descriptions, others the reverse.

    Raises:
        IndexNotFoundError: If the manifest cannot be read.
    """
    text = str(description.get("properties", {}).get(_PROPERTY) or description["description"])
    try:
        stored = json.loads(text)
        manifest, partition_key = stored[_PROPERTY], stored.get("partition_key")
    except (ValueError, TypeError, KeyError):
        return None
    return Manifest.from_json(manifest, what), partition_key


def _text(manifest: Manifest, partition_key: str | None) -> str:
    return json.dumps({_PROPERTY: manifest.to_json(), "partition_key": partition_key})


def _names(manifest: Manifest) -> FieldNames:
    absent: dict[str, None] = dict.fromkeys(set(REPS) - manifest.reps)
    return replace(M3KIT, **absent)  # type: ignore[arg-type]  # the names of its vectors


def _check_fields(description: Row, manifest: Manifest, what: str) -> None:
    """Check that the server has dropped no field, as some do silently."""
    missing = {"id", "text", "metadata", *manifest.reps} - _field_types(description).keys()
    if missing:
        raise IndexNotFoundError(
            f"{what} lacks {', '.join(sorted(missing))}, which its server has dropped or cannot "
            "hold; upgrade the server, and give another name"
        )


def _field_types(description: Row) -> Mapping[str, Any]:
    fields = (*description["fields"], *description.get("struct_array_fields", ()))
    return {field["name"]: field.get("type") for field in fields}


def _no_colbert(reason: str, what: str) -> RepresentationError:
    return RepresentationError(
        f"the Milvus of {what} holds no colbert vectors ({reason}), as servers from 2.6.4 do; "
        "create it with reps=('dense', 'sparse'), and let m3kit.WithColbert(index, encoder) add "
        "ColBERT"
    )
