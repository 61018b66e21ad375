"""Reading a collection's description, and checking whether it serves by the names given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from pymilvus import DataType, MilvusException

from m3kit.adapters.field_names import FieldNames
from m3kit.adapters.manifest import Manifest
from m3kit.index import IndexNotFoundError
from m3kit.vectors import REPS, Rep
from m3kit_milvus.client import CollectionClient, Row
from m3kit_milvus.columns import META, Schema
from m3kit_milvus.layout import M3KIT, PRIVATE, Layout
from m3kit_milvus.options import MilvusOptions
from m3kit_milvus.scalars import Scalar
from m3kit_milvus.vectors import Column, anns_field

_TYPES: Mapping[Rep, DataType] = {
    "dense": DataType.FLOAT_VECTOR,
    "sparse": DataType.SPARSE_FLOAT_VECTOR,
}
_METRICS: Mapping[Rep, Sequence[str]] = {
    "dense": ("IP", "COSINE", "L2"), "sparse": ("IP",), "colbert": ("MAX_SIM_IP",)
}  # fmt: skip
_KEYS = (DataType.VARCHAR, DataType.INT64)
_VECTORS = frozenset(type_ for type_ in DataType if "VECTOR" in type_.name)

_LENGTH_ERROR = 1e-2
"""How far a length may be from one: vectors may have been through 16 bits."""


def read_layout(
    client: CollectionClient,
    description: Row,
    names: FieldNames,
    options: MilvusOptions,
    what: str,
    *,
    stored: tuple[Manifest, str | None] | None,
    model: str | None,
) -> Layout:
    """
    Read how documents lie in a collection.

    Args:
        client: Calls the collection.
        description: As `MilvusClient.describe_collection` returns it.
        names: The names of its fields.
        options: How it is searched.
        what: What an error calls it.
        stored: Its manifest and partition key, if m3kit created it.
        model: What made its vectors, if not.

    Raises:
        IndexNotFoundError: If it does not serve, with each difference.
    """
    reader = _Reader(client, {field["name"]: field for field in _fields(description)}, what)
    dynamic = bool(description.get("enable_dynamic_field"))
    differences = [*reader.differences(names, dynamic=dynamic)]
    if differences:
        raise IndexNotFoundError(
            f"{what} cannot be opened with {names}: {'; '.join(differences)}. Give other names, or "
            "copy its documents into a new index"
        )
    if stored is None:
        dense = reader.fields[names.dense] if names.dense is not None else None
        width = int(dense["params"]["dim"]) if dense else 1
        manifest, partition_key = Manifest(width, names.reps, model), None
    else:
        manifest, partition_key = replace(stored[0], reps=names.reps), stored[1]
    schema = reader.schema(description, names, PRIVATE if stored else frozenset(), dynamic=dynamic)
    return Layout(
        what=what,
        names=names,
        manifest=manifest,
        columns={rep: reader.column(rep, names, options) for rep in REPS if rep in names.reps},
        schema=schema,
        engine=client.engine,
        partition_key=partition_key if names.metadata == M3KIT.metadata else None,
        private=frozenset() if stored is None else PRIVATE & schema.scalars.keys(),
    )


def check_rows(client: CollectionClient, layout: Layout) -> None:
    """
    Check in a few rows what the schema does not tell.

    Raises:
        IndexNotFoundError: If none has the text, or a vector has another length than one where the
            metric gives M3's order to such alone.
    """
    text = layout.schema.scalars.get(layout.names.text)
    if text is None or not text.required:
        rows = client.sample(layout.document_fields)
        if rows and all(layout.stored_text(row) is None for row in rows):
            raise IndexNotFoundError(
                f"{layout.what} cannot be opened with {layout.names}: no row has the text in "
                f"{layout.names.text!r}; give another name by FieldNames(text=…). "
                f"{describe_fields(client, client.describe())}"
            )
    column = layout.columns.get("dense")
    if column is None or column.metric == "IP":
        return
    for row in client.sample([layout.id_field, column.field]):
        length = float(np.linalg.norm(row[column.field]))
        if abs(length - 1) > _LENGTH_ERROR:
            raise IndexNotFoundError(
                f"{layout.what} cannot be opened: the dense vector of "
                f"{str(row[layout.id_field])!r} is of length {length:.4g}, and by the "
                f"metric {column.metric} only vectors of length 1 have M3's scores; copy its "
                "documents into a new index"
            )


def describe_fields(client: CollectionClient, description: Row) -> str:
    """Name the fields of a collection, and the keys that one stored row has in JSON."""
    fields = _fields(description)
    named = ", ".join(f"{field['name']} ({_type_name(field)})" for field in fields)
    jsons = [field["name"] for field in fields if field["type"] == DataType.JSON]
    wanted = [*jsons, META] if description.get("enable_dynamic_field") else jsons
    defined = {field["name"] for field in fields} - {*jsons}
    keys = [*_stored_keys(client, wanted, defined)] if wanted else []
    return f"Its fields are {named}" + (f"; one row has {', '.join(keys)}" if keys else "")


def _stored_keys(client: CollectionClient, wanted: list[str], defined: set[str]) -> Iterator[str]:
    """Yield the keys of one row, as filters name them; none where the rows cannot be read."""
    try:
        client.call("load_collection", client.name)
        rows = client.sample(wanted)
    except MilvusException:
        return
    for name, value in rows[0].items() if rows else ():
        if name in wanted:
            yield from (f"{name}[{key!r}]" for key in value or () if isinstance(value, Mapping))
        elif name not in defined:
            yield name


def _fields(description: Row) -> list[Row]:
    return [*description["fields"], *description.get("struct_array_fields", ())]


def _type_name(field: Row) -> str:
    name: str = DataType(field.get("type", DataType.ARRAY)).name
    return name


@dataclass(frozen=True, slots=True)
class _Reader:
    """
    Reads the fields of a collection.

    Args:
        client: Tells the indexes on them.
        fields: Their descriptions.
        what: What an error calls the collection.
    """

    client: CollectionClient
    fields: Mapping[str, Row]
    what: str

    def differences(self, names: FieldNames, *, dynamic: bool) -> Iterator[str]:
        """Yield what is missing, or other than it must be."""
        for rep in REPS:
            name = names.vector(rep)
            if name is not None:
                yield from self._vector(rep, name)
        if names.text in self.fields or not dynamic:
            yield from self._typed(names.text, (DataType.VARCHAR,), "the text")
        if names.metadata is not None:
            yield from self._typed(names.metadata, (DataType.JSON,), "the metadata")
        if names.id is not None:
            yield from self._typed(names.id, _KEYS, "the id")

    def column(self, rep: Rep, names: FieldNames, options: MilvusOptions) -> Column:
        """Describe where vectors are."""
        name = str(names.vector(rep))
        index = self.client.index(anns_field(rep, name)) or {}
        return Column(
            name,
            index["metric_type"],
            index["index_type"],
            options.search_params(rep),
            anns_field(rep, name),
        )

    def schema(
        self, description: Row, names: FieldNames, private: frozenset[str], *, dynamic: bool
    ) -> Schema:
        """Describe the other fields."""
        (primary,) = (field for field in self.fields.values() if field.get("is_primary"))
        vectors = {names.vector(rep) for rep in names.reps}
        read = {name: Scalar.read(field) for name, field in self.fields.items() if "type" in field}
        scalars = {
            name: scalar
            for name, scalar in read.items()
            if scalar is not None and name not in vectors
        }
        jsons = self._of({DataType.JSON})
        return Schema(
            primary=primary["name"],
            auto_id=bool(primary.get("auto_id") or description.get("auto_id")),
            scalars=scalars,
            jsons=jsons,
            others=[name for name in self.fields if name not in scalars and name not in jsons],
            foreign_vectors=[
                name
                for name in self._of(_VECTORS)
                if name not in vectors
                and not self.fields[name].get("is_function_output")
                and not self.fields[name].get("nullable")
            ],
            dynamic=dynamic,
            reserved=frozenset(
                {primary["name"], names.id or primary["name"], names.text, *vectors}
                | (private & scalars.keys())
            ),
        )

    def _of(self, types: frozenset[DataType] | set[DataType]) -> list[str]:
        return [name for name, field in self.fields.items() if field.get("type") in types]

    def _vector(self, rep: Rep, name: str) -> Iterator[str]:
        if rep == "colbert":
            if self.client.index(anns_field(rep, name)) is None:
                yield (
                    f"{name!r} holds no ColBERT vectors in structs of m3kit's form; leave it out, "
                    "and let m3kit.WithColbert add ColBERT"
                )
            return
        difference = [*self._typed(name, (_TYPES[rep],), f"the {rep} vectors")]
        yield from difference
        if difference:
            return
        if self.fields[name].get("is_function_output"):
            yield f"{name!r} is computed by a function of the server, not by M3; leave it out"
            return
        index = self.client.index(name)
        if index is None:
            yield f"{name!r} has no index; create one of metric {_METRICS[rep][0]}"
        elif index["metric_type"] not in _METRICS[rep]:
            yield (
                f"the metric of {name!r} is {index['metric_type']}, and M3's {rep} vectors are "
                f"compared by {' or '.join(_METRICS[rep])}; leave it out"
            )

    def _typed(self, name: str, types: Sequence[DataType], part: str) -> Iterator[str]:
        field = self.fields.get(name)
        if field is None:
            yield f"{part} should be in {name!r}, and its fields are {', '.join(self.fields)}"
        elif field.get("type") not in types:
            expected = " or ".join(type_.name for type_ in types)
            yield f"{part} should be {expected}, and {name!r} is {_type_name(field)}"


def unindexed_fields(client: CollectionClient, layout: Layout) -> list[str]:
    """Name the fields of the metadata of a few rows that have no index; none on Milvus Lite."""
    if client.engine != "server":
        return []
    documents = map(layout.to_document, client.sample(layout.document_fields))
    fields = {field: None for document in documents for field in document.metadata}
    nested = layout.names.metadata or META
    paths = client.indexed_paths(nested)

    def is_indexed(field: str) -> bool:
        if field in layout.schema.scalars and layout.names.metadata is None:
            return client.index(field) is not None
        return f'{nested}["{field}"]' in paths

    return [field for field in fields if not is_indexed(field)]
