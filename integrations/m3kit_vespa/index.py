"""`VespaIndex`: one schema behind pyvespa's client."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Self

from vespa.application import Vespa

from m3kit.adapters.field_names import FieldNames
from m3kit.adapters.manifest import Manifest
from m3kit.adapters.storage import ColbertStorage
from m3kit.adapters.store import StoreIndex
from m3kit.index import Holding, Search, check_search
from m3kit.records import Hit
from m3kit_vespa.existing import ExistingDocuments
from m3kit_vespa.schema import Documents
from m3kit_vespa.shape import FieldType


class VespaIndex(StoreIndex):
    """
    An index in a schema, which `m3_package` made or others; the client stays the caller's.

    Dense vectors are found by an HNSW graph, which is approximate; all else is exact, except what
    `sparse="wand"` leaves unseen. What the schema is made for (width, representations, form of
    ColBERT, attributes), it says itself. Threads may share an index.

    Args:
        app: A client of the application.
        schema: The schema's name.
        dim: The width of the vectors. None opens only what has been opened with it once.
        model: What makes the vectors, as `Encoder.model` says. A new index keeps it, an existing
            one is checked against it.
        colbert: The form of the ColBERT vectors, where it is to be checked.
        fields: Those of a schema that others made, to which `add_profiles` has added the rank
            profiles.
        attributes: Of such a schema, those that filters may use, which are then its metadata:
            `{"year": int}`. A new schema's are declared in its package.
        timeout: How many seconds a query may take.

    Raises:
        ValueError: If there are `fields` and no `dim`, or no schema can have this name.
        IndexNotFoundError: If there is none and no `dim`, or others made the schema.
        ModelMismatchError: If it was made by another model, or for another width or form.
    """

    def __init__(
        self,
        app: Vespa,
        schema: str,
        *,
        dim: int | None,
        model: str | None = None,
        colbert: ColbertStorage | None = None,
        fields: FieldNames | None = None,
        attributes: Mapping[str, FieldType] | None = None,
        timeout: float = 30.0,
    ) -> None:
        what = f"the schema {schema!r}"
        self._documents: Documents | ExistingDocuments
        if fields is None:
            self._documents = Documents(app, schema, timeout, model=model, new=dim is not None)
            self._documents.manifest.check(dim, model, what, colbert=colbert)
        else:
            if dim is None:
                raise ValueError(f"{what} is others', and does not say how wide it is; give dim")
            manifest = Manifest(dim, fields.reps, model)
            self._documents = ExistingDocuments(
                app, schema, fields, attributes=attributes or {}, manifest=manifest, timeout=timeout
            )
        self._schema = schema
        super().__init__(self._documents)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._schema!r}, {self._documents.stamp})"

    def search(self, search: Search, /) -> list[Hit]:
        """Rank by Vespa's own profiles, mostly in one request; see `HybridIndex.search`."""
        check_search(search, reps=self.reps, dim=self._documents.manifest.dim)
        if isinstance(self._documents, Documents) and len(search.query.reps) > 1:
            hits = self._documents.searcher(search.query, search.where).at_once(search)
            if hits is not None:
                return hits
        return super().search(search)


class OpenedVespaIndex(Holding, VespaIndex):
    """A `VespaIndex` that owns its client: what `open_server` returns."""

    def holding(self, held: ExitStack) -> Self:
        """Take over what is held, and close the connections first."""
        held.callback(self._documents.close)
        return super().holding(held)
