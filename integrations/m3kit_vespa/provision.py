"""
What a deployed schema holds, and checks of a schema when it is opened.

Vespa answers no question about its schemas. So the package brings a schema of its own, `m3kit`,
with a rank profile for each index whose functions are constants, such as `dim` or
`field_79656172`. Asked with that profile, the one document of the index shows them as its match
features. That document is written when the index is first opened, and records its model, and an id
that no other index has.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from vespa.application import Vespa
from vespa.exceptions import VespaError

from m3kit.adapters.field_names import FieldNames
from m3kit.adapters.manifest import FORMAT, IndexRequest, Manifest
from m3kit.adapters.storage import ColbertType
from m3kit.index import IndexNotFoundError
from m3kit.vectors import REPS
from m3kit_vespa.client import SchemaClient
from m3kit_vespa.field_types import ATTRIBUTE_TYPES, FieldType, to_attribute_type
from m3kit_vespa.layout import M3KIT, Layout, Retrieval
from m3kit_vespa.profiles import PROFILES
from m3kit_vespa.spelling import digest
from m3kit_vespa.yql import NOTHING

DESCRIPTION = "m3kit"
"""The schema that describes the others."""

RECORDED = {"model": "model", "index_id": "id"}
"""The fields that an index's document records, as a manifest has them."""

_TYPES = [*ATTRIBUTE_TYPES.values()]


def to_constants(layout: Layout) -> dict[str, int]:
    """Write what a schema of `m3_package` holds as names with numbers."""
    manifest = layout.manifest
    return {
        "format": FORMAT,
        "dim": manifest.dim,
        **{f"holds_{rep}": 1 for rep in REPS if rep in manifest.reps},
        f"colbert_{manifest.colbert.dtype}": manifest.colbert.pool_factor,
        f"sparse_{layout.retrieval}": 1,
        **{
            f"field_{name.encode().hex()}": _TYPES.index(type_)
            for name, type_ in layout.field_types.items()
        },
    }


def from_constants(
    constants: Mapping[str, float], recorded: Mapping[str, Any], what: str
) -> Layout:
    """
    Read what `to_constants` wrote.

    Args:
        constants: The numbers.
        recorded: The other fields of the document.
        what: What an error calls the schema.

    Raises:
        IndexNotFoundError: If it is something else, or of another version.
    """
    if constants.get("format", 0) < FORMAT:
        raise IndexNotFoundError(
            f"{what} was made by an earlier development version of m3kit; deploy the package that "
            "m3_package makes now, and index the documents again"
        )
    storages = [
        {"dtype": dtype, "pool_factor": int(constants[f"colbert_{dtype}"])}
        for dtype in get_args(ColbertType)
        if f"colbert_{dtype}" in constants
    ]
    stored = {
        "format": int(constants["format"]),
        "dim": int(constants["dim"]),
        "reps": [rep for rep in REPS if f"holds_{rep}" in constants],
        **{name: recorded.get(field) for field, name in RECORDED.items()},
        "colbert": next(iter(storages), None),
    }
    manifest = Manifest.from_json(stored, what)
    field_types = {
        bytes.fromhex(name.removeprefix("field_")).decode(): _TYPES[int(number)]
        for name, number in constants.items()
        if name.startswith("field_")
    }
    (retrieval,) = (way for way in get_args(Retrieval) if f"sparse_{way}" in constants)
    return Layout(M3KIT, manifest, field_types, retrieval)


def open_deployed(app: Vespa, schema: str, request: IndexRequest, *, timeout: float) -> Layout:
    """
    Read what a schema that `m3_package` made holds, and record the model and an id if it is new.

    Raises:
        IndexNotFoundError: If `m3_package` did not make it, or it is new and not to be created.
        ModelMismatchError: If it was made by another model, or for another width or form.
    """
    what = f"the schema {schema!r}"
    client = SchemaClient(app, DESCRIPTION, timeout)
    try:
        description = read_description(client, schema)
        if description is None:
            manifest = request.new_manifest(what)
            stored = manifest.to_json()
            recorded = {field: stored[name] for field, name in RECORDED.items() if stored[name]}
            client.create(digest(schema), {"of": schema, **recorded})
            description = read_description(client, schema)
    finally:
        client.close()
    fields: Mapping[str, Any] = description or {}
    layout = from_constants(fields.get("matchfeatures", {}), fields, what)
    request.check(layout.manifest, what)
    return layout


def read_description(client: SchemaClient, schema: str) -> Mapping[str, Any] | None:
    """
    Read the document that describes an index; None if there is none yet.

    Raises:
        IndexNotFoundError: If `m3_package` did not make the schema.
    """
    try:
        hits = client.search(f'of contains "{schema}"', select=[*RECORDED], ranking=schema, hits=1)
    except VespaError as error:
        raise IndexNotFoundError(
            f"the schema {schema!r} was not created by m3kit ({error}); deploy the package that "
            "m3_package makes, or pass fields=FieldNames(…) for a schema of your own"
        ) from error
    return hits[0]["fields"] if hits else None


def open_existing(
    client: SchemaClient,
    what: str,
    request: IndexRequest,
    fields: FieldNames,
    field_types: Mapping[str, FieldType],
) -> Layout:
    """
    Check a schema that m3kit did not create against the names of its fields.

    Raises:
        IndexNotFoundError: If the schema lacks a rank profile or a field.
        ValueError: If there is no `dim`.
    """
    if request.dim is None:
        raise ValueError(
            f"{what} was not created by m3kit and does not tell its width; give encoder= or dim="
        )
    types = {name: to_attribute_type(name, type_) for name, type_ in field_types.items()}
    layout = Layout(fields, Manifest(request.dim, fields.reps, request.model), types)
    for rep in fields.reps:
        try:
            client.search(NOTHING, select=["documentid"], ranking=PROFILES[rep], hits=0)
        except VespaError as error:
            raise IndexNotFoundError(
                f"{what} has no rank profile {PROFILES[rep]} ({error}); let "
                "m3kit_vespa.add_profiles add it to the application package, and deploy it again"
            ) from error
    try:
        next(client.visit([*fields.names(), *types]), None)
    except VespaError as error:
        stored = next(client.visit(["*"]), {})
        raise IndexNotFoundError(
            f"{what} lacks a field that fields= or field_types= names ({error}); one of its "
            f"documents has {', '.join(name for name in stored if name != 'documentid')}"
        ) from error
    return layout
