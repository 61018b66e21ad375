"""
What a deployed schema is made for, and how it says so to whoever opens it.

Vespa answers no question about its schemas. So the package brings a schema of its own, `m3kit`,
with a rank profile for each index whose functions are constants, such as `dim` or
`field_int_79656172`. Asked with that profile, the one document of the index shows them as its match
features.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import GenericAlias, UnionType
from typing import Literal, Self, TypeAlias, cast, get_args

from m3kit.adapters.manifest import check_shape
from m3kit.adapters.storage import ColbertStorage, ColbertType
from m3kit.index import IndexNotFoundError
from m3kit.vectors import REPS, Rep

Kind: TypeAlias = Literal["str", "int", "float", "bool", "strs", "ints"]
"""What an attribute holds."""

FieldType: TypeAlias = type | UnionType | GenericAlias
"""`str`, `int`, `float`, `bool`, `list[str]`, `list[int]`, or several of them: `str | float`."""

Retrieval: TypeAlias = Literal["exact", "wand"]
"""How the sparse branch finds documents: all that share a token, or the best by integer weights."""

OWN = frozenset(["id", "key", "text", "metadata", "terms", "salt", *REPS, "tokens", "token_ids"])
"""The fields that every index has, or may have."""

_KINDS: dict[object, Kind] = {
    str: "str", int: "int", float: "float", bool: "bool", list[str]: "strs", list[int]: "ints",
}  # fmt: skip
_WORDS = OWN | {
    "and", "asc", "as", "attribute", "by", "contains", "desc", "distance", "document", "false",
    "field", "from", "group", "in", "index", "limit", "like", "matches", "near", "nonempty", "not",
    "null", "offset", "onear", "or", "order", "phrase", "predicate", "range", "rank", "select",
    "sources", "struct", "summary", "timeout", "true", "type", "wand", "weakAnd", "weight",
    "where", "uri",
}  # fmt: skip
"""Names that mean something else in a schema or in a query."""

_DESCRIBES = re.compile(r"field_([a-z]+)_([0-9a-f]+)")


@dataclass(frozen=True, slots=True)
class Shape:
    """
    What a schema holds.

    Args:
        dim: The width of the vectors.
        reps: The representations.
        colbert: The form of the ColBERT vectors.
        sparse: How the sparse branch finds documents.
        fields: The fields that have attributes, and what these hold.

    Raises:
        ValueError: If Vespa has no such form of ColBERT vectors, or names of fields collide.
        RepresentationError: If there is no representation, or an unknown one.
    """

    dim: int
    reps: frozenset[Rep] = frozenset(REPS)
    colbert: ColbertStorage = ColbertStorage()  # noqa: RUF009  # frozen, so one default serves all
    sparse: Retrieval = "exact"
    fields: Mapping[str, tuple[Kind, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_shape(self.dim, self.reps)
        if self.sparse not in get_args(Retrieval):
            raise ValueError(
                f"the sparse branch retrieves by 'exact' or 'wand', not {self.sparse!r}"
            )
        if self.colbert.dtype == "float16":
            raise ValueError("Vespa has no float16 cells; keep ColBERT vectors as 'bfloat16'")
        if self.colbert.dtype == "binary" and self.dim % 8:
            raise ValueError(
                f"binary ColBERT vectors are kept 8 dimensions to a byte, and {self.dim} is no "
                "multiple of 8; keep them as 'int8'"
            )
        names = [name for _, _, name in self.attributes()]
        names += [rest(name) for _, kind, name in self.attributes() if kind == "float"]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two fields would both be the attribute {twice[0]!r}; rename one")

    def attributes(self) -> Iterator[tuple[str, Kind, str]]:
        """Yield each declared field with each kind of its values, and that attribute's name."""
        for name, kinds in self.fields.items():
            for kind in kinds:
                yield name, kind, attribute(name, kind if len(kinds) > 1 else None)

    def attribute(self, name: str, kind: Kind) -> str | None:
        """Return the attribute that holds values of a kind of a field, if it is declared."""
        kinds = self.fields.get(name, ())
        return attribute(name, kind if len(kinds) > 1 else None) if kind in kinds else None

    def to_constants(self) -> dict[str, float]:
        """Write it as names with numbers."""
        return {
            "dim": self.dim,
            **{f"holds_{rep}": 1 for rep in REPS if rep in self.reps},
            f"colbert_{self.colbert.dtype}": self.colbert.pool,
            f"sparse_{self.sparse}": 1,
            **{
                f"field_{kind}_{name.encode().hex()}": 1
                for name, kinds in self.fields.items()
                for kind in kinds
            },
        }

    @classmethod
    def from_constants(cls, said: Mapping[str, float], what: str) -> Self:
        """
        Read what `to_constants` wrote.

        Raises:
            IndexNotFoundError: If it is something else.
        """
        fields: dict[str, tuple[Kind, ...]] = {}
        for name in said:
            if found := _DESCRIBES.fullmatch(name):
                of = bytes.fromhex(found[2]).decode()
                fields[of] = (*fields.get(of, ()), cast("Kind", found[1]))
        try:
            return cls(
                int(said["dim"]),
                frozenset(rep for rep in REPS if f"holds_{rep}" in said),
                next(
                    ColbertStorage(dtype, int(said[f"colbert_{dtype}"]))
                    for dtype in get_args(ColbertType)
                    if f"colbert_{dtype}" in said
                ),
                next(one for one in get_args(Retrieval) if f"sparse_{one}" in said),
                fields,
            )
        except (KeyError, StopIteration) as error:
            raise IndexNotFoundError(
                f"{what} describes no index that this m3kit knows; upgrade m3kit, or deploy the "
                "package that m3_package makes"
            ) from error


def attribute(name: str, kind: Kind | None = None) -> str:
    """Name the attribute of a field: as the field, unless Vespa knows the word or reads it not."""
    plain = re.fullmatch(r"[a-zA-Z][a-zA-Z0-9_]*", name, re.ASCII)
    own = name in _WORDS or name.startswith(("m3_", "x_")) or name.lower() in _WORDS
    spelled = name if plain and not own else f"x_{name.encode().hex()}"
    return spelled if kind is None else f"{spelled}_{kind}"


def rest(name: str) -> str:
    """Name the attribute that says how far a number is from the double that another holds."""
    return f"{name}_rest"


def to_kinds(of: str, declared: FieldType) -> tuple[Kind, ...]:
    """
    Read what a field is declared as.

    Raises:
        TypeError: If Vespa has no attribute for it.
    """
    types = get_args(declared) if isinstance(declared, UnionType) else (declared,)
    unknown = [one for one in types if one not in _KINDS]
    if unknown:
        raise TypeError(
            f"the field {of!r} is declared as {unknown[0]!r}; say str, int, float, bool, "
            "list[str], list[int], or several of them: str | float"
        )
    if {int, float} <= set(types):
        raise TypeError(
            f"the field {of!r} is declared int and float; float holds whole numbers too"
        )
    return tuple(_KINDS[one] for one in types)
