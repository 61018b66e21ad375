"""`VespaIndex`: one schema behind pyvespa's client."""

from __future__ import annotations

from collections.abc import Mapping

from vespa.application import Vespa

from m3kit.adapters.closing import ClosesOnExit
from m3kit.adapters.field_names import FieldNames
from m3kit.adapters.manifest import IndexRequest
from m3kit.adapters.storage import ColbertStorage
from m3kit.adapters.store import StoreIndex
from m3kit.encoder import Encoder
from m3kit_vespa.client import SchemaClient
from m3kit_vespa.field_types import FieldType
from m3kit_vespa.filters import Condition
from m3kit_vespa.provision import open_deployed, open_existing
from m3kit_vespa.store import VespaStore


class VespaIndex(ClosesOnExit, StoreIndex[Condition]):
    """
    An index in a schema that `m3_package` made, or in one of your own.

    Dense vectors are found by an HNSW graph, which is approximate; all else is exact, except what
    `sparse="wand"` leaves unseen. A schema of `m3_package` knows its width, representations, form
    of ColBERT and declared fields. Threads may share an index.

    Args:
        app: A client of the application.
        schema: The schema's name.
        encoder: What makes the vectors. It supplies `dim` and `model`.
        dim: Without an encoder: the width of the vectors. None opens only what has been opened with
            it once.
        model: Without an encoder: what makes the vectors, as `Encoder.model` says. A new index
            records it, an existing one is checked against it.
        colbert: The form of the ColBERT vectors, where it is to be checked.
        fields: The fields of a schema that m3kit did not create, to which `add_profiles` has added
            the rank profiles.
        field_types: The attributes of such a schema that filters may use, which are then its
            metadata: `{"lang": str, "year": int}`. A schema of `m3_package` knows its own.
        timeout: How many seconds a query may take.

    Raises:
        ValueError: If there are `fields` and no width, or no schema can have this name.
        TypeError: If a field is declared as something that no attribute can hold.
        IndexNotFoundError: If there is none and no width is given, m3kit did not create the schema,
            or it lacks one of `fields`.
        ModelMismatchError: If it was made by another model, or for another width or form.
    """

    def __init__(
        self,
        app: Vespa,
        schema: str,
        *,
        encoder: Encoder | None = None,
        dim: int | None = None,
        model: str | None = None,
        colbert: ColbertStorage | None = None,
        fields: FieldNames | None = None,
        field_types: Mapping[str, FieldType] | None = None,
        timeout: float = 30.0,
    ) -> None:
        request = IndexRequest.of(encoder, dim=dim, reps=None, model=model, colbert=colbert)
        what = f"the schema {schema!r}"
        client = SchemaClient(app, schema, timeout, tensors="hex" if fields is None else "short")
        if fields is None:
            self._layout = open_deployed(app, schema, request, timeout=timeout)
        else:
            self._layout = open_existing(client, what, request, fields, field_types or {})
        self._schema = schema
        self._client = client
        super().__init__(VespaStore(client, self._layout))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._schema!r}, {self._layout.manifest})"

    def close(self) -> None:
        """Close the connections, not the client; a second call does nothing."""
        self._client.close()

    def unindexed_fields(self) -> list[str]:
        """
        Name the fields of the metadata by which Vespa filters without an index.

        A boolean attribute has none; `m3_package` gives the others `fast-search`, and undeclared
        fields go by `terms`, which has it too. Of another schema, Vespa does not tell: the list is
        empty.
        """
        if not self._layout.is_native:
            return []
        return [name for name, type_ in self._layout.field_types.items() if type_ == "bool"]
