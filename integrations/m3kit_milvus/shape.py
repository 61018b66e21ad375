"""Whether a collection that others made can serve, and if not, in what it differs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from pymilvus import DataType

from m3kit.adapters.field_names import FieldNames
from m3kit.adapters.manifest import Manifest
from m3kit.index import IndexNotFoundError
from m3kit.vectors import REPS, Rep
from m3kit_milvus.collection import Rows
from m3kit_milvus.layout import Column, Engine, Row
from m3kit_milvus.options import MilvusOptions
from m3kit_milvus.scalars import Scalar
from m3kit_milvus.theirs import Theirs

_TYPES: Mapping[Rep, DataType] = {
    "dense": DataType.FLOAT_VECTOR,
    "sparse": DataType.SPARSE_FLOAT_VECTOR,
}
_METRICS: Mapping[Rep, Sequence[str]] = {"dense": ("IP", "COSINE", "L2"), "sparse": ("IP",)}
_KEYS = (DataType.VARCHAR, DataType.INT64)
_VECTORS = frozenset(type_ for type_ in DataType if "VECTOR" in type_.name)

_LENGTH = 1e-2
"""How far a length may be from one: vectors may have been through 16 bits."""

Index = Callable[[str], Row | None]
"""What a collection says of the index on a field."""


def read_theirs(
    shape: Row,
    index: Index,
    fields: FieldNames,
    options: MilvusOptions,
    *,
    engine: Engine,
    what: str,
) -> Theirs:
    """
    Read the schema of a collection that others made.

    Args:
        shape: As `MilvusClient.describe_collection` says.
        index: What is known of a field's index.
        fields: How the caller calls its fields.
        options: How it is searched.
        engine: What holds it.
        what: What a message calls it.

    Raises:
        IndexNotFoundError: If it cannot serve, with each difference.
    """
    dynamic = bool(shape.get("enable_dynamic_field"))
    schema = _Schema({field["name"]: field for field in shape["fields"]}, index, dynamic)
    differences = [*schema.differences(fields)]
    if differences:
        raise IndexNotFoundError(
            f"{what} cannot serve with {fields}: {'; '.join(differences)}. Name other fields, or "
            "copy its documents into a new index"
        )
    named = {fields.vector(rep) for rep in fields.reps}
    (primary,) = (field for field in schema.fields.values() if field.get("is_primary"))
    scalars = {name: one for name, one in schema.scalars() if name not in named}
    dense = schema.fields[fields.dense] if fields.dense is not None else None
    return Theirs(
        what=what,
        fields=fields,
        manifest=Manifest(dense["params"]["dim"] if dense else 1, fields.reps, None),
        columns={rep: schema.column(rep, fields, options) for rep in REPS if rep in fields.reps},
        primary=primary["name"],
        numbered=bool(primary.get("auto_id") or shape.get("auto_id")),
        id_column=scalars[fields.id or primary["name"]],
        scalars=scalars,
        jsons=schema.of({DataType.JSON}),
        others=schema.others(),
        vectors=[
            name
            for name in schema.of(_VECTORS)
            if name not in named
            and not schema.fields[name].get("is_function_output")
            and not schema.fields[name].get("nullable")
        ],
        dynamic=dynamic,
        engine=engine,
    )


def check_rows(layout: Theirs, rows: Rows) -> None:
    """
    Check in some rows what the schema does not say.

    Raises:
        IndexNotFoundError: If none has the text, or a vector has another length than one where the metric
            gives M3's order to such alone.
    """
    _check_texts(layout, rows)
    column = layout.columns.get("dense")
    if column is None or column.metric == "IP":
        return
    for row in rows.sample([layout.key, column.field]):
        length = float(np.linalg.norm(row[column.field]))
        if abs(length - 1) > _LENGTH:
            raise IndexNotFoundError(
                f"{layout.what} cannot serve: the dense vector of {str(row[layout.key])!r} is of "
                f"length {length:.4g}, and by the metric {column.metric} only vectors of length 1 "
                "have M3's scores; copy its documents into a new index"
            )


def _check_texts(layout: Theirs, rows: Rows) -> None:
    name = layout.fields.text
    if name in layout.scalars:
        return
    some = [*rows.sample([layout.key, name])]
    if some and not any(layout.has_text(row) for row in some):
        raise IndexNotFoundError(
            f"{layout.what} cannot serve: the text should be in {name!r}, which neither its schema "
            "nor its rows have; name another field by FieldNames(text=…)"
        )


@dataclass(frozen=True, slots=True)
class _Schema:
    fields: Mapping[str, Row]
    index: Index
    dynamic: bool

    def differences(self, asked: FieldNames) -> Iterator[str]:
        """Spell out what is missing, or other than it must be."""
        for rep in REPS:
            name = asked.vector(rep)
            if name is not None:
                yield from self._vector(rep, name)
        if asked.text in self.fields or not self.dynamic:
            yield from self._typed(asked.text, (DataType.VARCHAR,), "the text")
        if asked.metadata is not None:
            yield from self._typed(asked.metadata, (DataType.JSON,), "the metadata")
        if asked.id is not None:
            yield from self._typed(asked.id, _KEYS, "the id")

    def column(self, rep: Rep, asked: FieldNames, options: MilvusOptions) -> Column:
        """Describe where vectors are."""
        name = str(asked.vector(rep))
        index = self.index(name) or {}
        return Column(rep, name, index["metric_type"], index["index_type"], options.search(rep))

    def scalars(self) -> Iterator[tuple[str, Scalar]]:
        """Yield the fields of one type."""
        for name, field in self.fields.items():
            scalar = Scalar.read(field)
            if scalar is not None:
                yield name, scalar

    def of(self, types: frozenset[DataType] | set[DataType]) -> list[str]:
        """Name the fields of some types."""
        return [name for name, field in self.fields.items() if field["type"] in types]

    def others(self) -> list[str]:
        """Name the fields that are neither scalars nor JSON; vectors are among them."""
        known = {name for name, _ in self.scalars()} | set(self.of({DataType.JSON}))
        return [name for name in self.fields if name not in known]

    def _vector(self, rep: Rep, name: str) -> Iterator[str]:
        if rep not in _TYPES:
            yield f"ColBERT vectors of others ({name!r}) are not read; m3kit.WithColbert adds ColBERT"
            return
        difference = [*self._typed(name, (_TYPES[rep],), f"the {rep} vectors")]
        yield from difference
        if difference:
            return
        if self.fields[name].get("is_function_output"):
            yield f"{name!r} is made by a function of the server, not by M3; leave it out of FieldNames"
            return
        index = self.index(name)
        if index is None:
            yield f"{name!r} has no index; make one of metric {_METRICS[rep][0]}"
        elif index["metric_type"] not in _METRICS[rep]:
            yield (
                f"the metric of {name!r} is {index['metric_type']}, and M3's {rep} vectors are "
                f"compared by {' or '.join(_METRICS[rep])}; leave it out of FieldNames"
            )

    def _typed(self, name: str, types: Sequence[DataType], what: str) -> Iterator[str]:
        field = self.fields.get(name)
        if field is None:
            yield f"{what} should be in {name!r}, and its fields are {', '.join(self.fields)}"
        elif field["type"] not in types:
            found = DataType(field["type"]).name
            expected = " or ".join(type_.name for type_ in types)
            yield f"{what} should be {expected}, and {name!r} is {found}"
