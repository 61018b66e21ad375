"""What must be added to a schema that others made, and what it lacks."""

from __future__ import annotations

import re
from collections.abc import Mapping

from vespa.package import ApplicationPackage, Field

from m3kit.adapters.field_names import FieldNames
from m3kit.vectors import REPS, Rep
from m3kit_vespa.package import allow_many_hits
from m3kit_vespa.profiles import Vectors, score_profiles
from m3kit_vespa.shape import Shape

_TENSOR = re.compile(r"tensor(?:<(\w+)>)?\((.*)\)")
_WANTED: Mapping[Rep, str] = {
    "dense": "tensor<float>(x[{0}])",
    "sparse": "tensor<float>(token{{}})",
    "colbert": "tensor<bfloat16>(t{{}}, x[{0}])",
}


def add_profiles(package: ApplicationPackage, schema: str, names: FieldNames, *, dim: int) -> None:
    """
    Add the rank profiles that `VespaIndex` asks to a schema of an application package.

    Deploy the package afterwards; nothing is to be fed again.

    Args:
        package: The package, changed in place.
        schema: The schema's name.
        names: The fields of its vectors.
        dim: The width of its vectors.

    Raises:
        ValueError: If a field is missing or of another shape; says how it would be declared.
    """
    held = package.get_schema(schema)
    fields = {field.name: field for field in held.document.fields}
    shape = Shape(dim, names.reps)
    missing = [
        why
        for rep in REPS
        if (name := names.vector(rep)) is not None
        and (why := _lacks(rep, name, fields.get(name), dim)) is not None
    ]
    if missing:
        raise ValueError(f"the schema {schema!r} does not hold what M3 needs: {'; '.join(missing)}")
    vectors = {rep: _vectors(fields[names.vector(rep) or ""]) for rep in names.reps}
    for profile in score_profiles(shape, vectors):
        held.add_rank_profile(profile)
    allow_many_hits(package)


def _vectors(field: Field) -> Vectors:
    """Read the dimensions of a field's type."""
    found = _TENSOR.fullmatch(field.type.strip())
    dimensions = [] if found is None else [one.strip() for one in found[2].split(",")]
    named = {"{}" if one.endswith("{}") else "[]": re.split(r"[{\[]", one)[0] for one in dimensions}
    return Vectors(field.name, mapped=named.get("{}", ""), indexed=named.get("[]", ""))


def _lacks(rep: Rep, name: str, field: Field | None, dim: int) -> str | None:
    """Say what is wrong with a field of vectors."""
    type_ = _WANTED[rep].format(dim)
    wanted = f"declare `field {name} type {type_} {{ indexing: attribute | summary }}`"
    if field is None:
        return f"there is no field {name!r}; {wanted}"
    shape = sorted(re.sub(r"\w+(?=[\[{])", "", one.strip()) for one in _dimensions(field.type))
    expected = {"dense": [f"[{dim}]"], "sparse": ["{}"], "colbert": [f"[{dim}]", "{}"]}[rep]
    cells = (_TENSOR.fullmatch(field.type.strip()) or ["", ""])[1] or "double"
    if shape != sorted(expected) or cells not in {"float", "bfloat16", "double"}:
        return f"{name!r} is a {field.type}; {wanted}"
    if "attribute" not in (field.indexing or []):
        return f"{name!r} is no attribute; {wanted}"
    return None


def _dimensions(type_: str) -> list[str]:
    found = _TENSOR.fullmatch(type_.strip())
    return [] if found is None else found[2].split(",")
