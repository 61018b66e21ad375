"""How a collection is made, completed and opened, by one worker or by many at once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from pymilvus import MilvusException

from m3kit.adapters.field_names import FieldNames
from m3kit.adapters.manifest import Manifest
from m3kit.index import IndexNotFoundError, RepresentationError
from m3kit.vectors import REPS, Rep
from m3kit_milvus import own
from m3kit_milvus.collection import Connection
from m3kit_milvus.layout import Column, Row
from m3kit_milvus.options import MilvusOptions
from m3kit_milvus.own import Own
from m3kit_milvus.quiet import silenced
from m3kit_milvus.shape import read_theirs
from m3kit_milvus.theirs import Theirs

SERVER_INDEXES: Mapping[str, Mapping[str, str]] = {"terms": {"index_type": "INVERTED"}}
"""What Milvus Lite has none of."""


@dataclass(frozen=True, slots=True)
class Making:
    """
    The way to a collection that can be searched.

    Args:
        connection: Who calls it.
        options: How a new one is made, and any is searched.
        what: What a message calls it.
    """

    connection: Connection
    options: MilvusOptions
    what: str

    def open(self, new: Callable[[], Manifest]) -> Own:
        """
        Read m3kit's own collection, making it or what it lacks, and load it.

        Raises:
            IndexNotFoundError: If others made it, or the server has dropped a field.
            RepresentationError: If the server holds no ColBERT vectors, and they are asked for.
        """
        with self.connection.guard:
            if not self.connection.exists():
                self._make(new())
            shape = self.connection.describe()
            kept = own.read_stamp(shape, self.what)
            if kept is None:
                raise IndexNotFoundError(
                    f"{self.what} bears no manifest of m3kit's: others made it; say by fields=FieldNames("
                    "…) what it calls the text and the vectors, or give another name"
                )
            manifest, partition_key = kept
            terms_type = own.terms_type(shape, manifest, self.what)
            self._index(["terms", *map(own.field, manifest.reps)])
            columns = {rep: self._column(rep) for rep in REPS if rep in manifest.reps}
            self._load()
        negates = self.connection.engine != "core"
        return Own(manifest, columns, terms_type, partition_key, negates)

    def open_theirs(self, fields: FieldNames) -> Theirs:
        """
        Read a collection that others made, and load it.

        Raises:
            IndexNotFoundError: If there is none, or it cannot serve.
        """
        with self.connection.guard:
            if not self.connection.exists():
                raise IndexNotFoundError(f"there is no such thing as {self.what}")
            shape = self.connection.describe()
            layout = read_theirs(
                shape,
                self.connection.index,
                fields,
                self.options,
                engine=self.connection.engine,
                what=self.what,
            )
            self._load()
        return layout

    @property
    def _served(self) -> bool:
        return self.connection.engine == "server"

    def _load(self) -> None:
        self.connection.client.load_collection(self.connection.name, **self.connection.within)

    def _make(self, manifest: Manifest) -> None:
        own.check_storage(manifest)
        options, client = self.options, self.connection.client
        create = {**options.create}
        given: dict[str, str] = create.pop("properties", {})
        try:
            with silenced():
                client.create_collection(
                    self.connection.name,
                    schema=own.schema(
                        manifest, "array" if self._served else "text", options.partition_key
                    ),
                    properties=own.properties(manifest, options.partition_key, given),
                    consistency_level=options.consistency,
                    **create,
                    **self.connection.within,
                )
        except MilvusException as error:
            if self.connection.exists():
                return  # another worker was faster, and its manifest is checked
            if "colbert" in manifest.reps:
                raise _no_colbert(error.message) from error
            raise
        if "colbert" in manifest.reps and own.lacks_colbert(self.connection.describe()):
            client.drop_collection(self.connection.name, **self.connection.within)
            raise _no_colbert("it has dropped their field")

    def _index(self, fields: Collection[str]) -> None:
        """Make the indexes that are not there, as where a process died before it made them."""
        known: dict[str, Mapping[str, Any]] = {
            own.field(rep): self.options.index(rep) for rep in REPS
        }
        if self._served:
            known |= SERVER_INDEXES
        for field in known.keys() & set(fields):
            if not self.connection.indexes(field):
                self._make_index(field, known[field])

    def _make_index(self, field: str, how: Mapping[str, Any]) -> None:
        client = self.connection.client
        params = client.prepare_index_params()
        params.add_index(field, index_name=field.partition("[")[0], **how)
        try:
            with silenced():
                client.create_index(
                    self.connection.name, params, sync=False, **self.connection.within
                )
        except MilvusException:
            if not self.connection.indexes(field):
                raise  # else another worker was faster

    def _column(self, rep: Rep) -> Column:
        field = own.field(rep)
        index: Row = self.connection.index(field) or self.options.index(rep)
        return Column(
            rep,
            rep,
            index["metric_type"],
            index["index_type"],
            self.options.search(rep),
            anns=field,
        )


def _no_colbert(said: str) -> RepresentationError:
    return RepresentationError(
        f"this Milvus holds no colbert vectors ({said}), as servers from 2.6.4 do; make it with "
        "reps=('dense', 'sparse'), and let m3kit.WithColbert(index, encoder) add ColBERT"
    )
