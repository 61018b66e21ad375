"""
Schemas that others made, as `m3kit.adapters.store` sees them.

Vectors and texts stay where they are. `add_profiles` adds the rank profiles to the application
package, which is then deployed again. Such a schema has no salts and no terms, so each branch of a
fusion is one request, and a filter says what the schema's attributes can say: a missing string
equals an empty one, a missing boolean is false, and case counts where the attribute is cased.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vespa.application import Vespa
from vespa.exceptions import VespaError

from m3kit.adapters.field_names import FieldNames
from m3kit.adapters.manifest import Manifest
from m3kit.filters import Filter, Ids, matches
from m3kit.index import DocumentError, IndexNotFoundError
from m3kit.records import Document, Record
from m3kit.vectors import REPS, M3Output, Rep
from m3kit_vespa.answers import Application, Written
from m3kit_vespa.attributes import Attributes
from m3kit_vespa.filters import EVERYTHING, NOTHING, to_yql
from m3kit_vespa.profiles import PROFILES
from m3kit_vespa.searching import Searcher, nearest
from m3kit_vespa.shape import FieldType, to_kinds
from m3kit_vespa.tensors import MOST_TOKENS, to_colbert, to_dense, to_sparse


class ExistingDocuments:
    """
    The documents of a schema that others made.

    Args:
        app: The client.
        schema: The schema's name.
        fields: Its fields.
        attributes: Its attributes that filters use, and what they hold.
        manifest: What it holds.
        timeout: How many seconds a query may take.

    Raises:
        IndexNotFoundError: If the schema is not there, or lacks a rank profile.
    """

    tokens = MOST_TOKENS

    def __init__(
        self,
        app: Vespa,
        schema: str,
        fields: FieldNames,
        *,
        attributes: Mapping[str, FieldType],
        manifest: Manifest,
        timeout: float,
    ) -> None:
        self.app = Application(app, schema, timeout, tensors="short")  # of any cells
        self.manifest = manifest
        kinds = {of: to_kinds(of, type_)[0] for of, type_ in attributes.items()}
        self._plan = Existing(fields, tuple(attributes))
        self._attributes = Attributes(kinds, fields.id)
        for rep in fields.reps:
            self._check(rep, schema)

    def write(self, records: Sequence[Record], /) -> None:
        """
        Write records, their metadata as fields of the schema unless it nests them.

        Raises:
            DocumentError: If Vespa would read an id as another.
            FeedError: If Vespa took some of them not; the others are written.
        """
        for record in records:
            if not _addressable(record.document.id):
                raise DocumentError(
                    f"document {record.document.id!r} has an id that Vespa's URLs shorten; use "
                    "another, without empty parts, '.' and '..' between slashes"
                )
        self.app.write(map(self._written, records))

    def searcher(self, query: M3Output, where: Filter | None, /) -> Searcher:
        """Take up a query."""
        condition = EVERYTHING if where is None else to_yql(where, self._attributes)
        return Searcher(self.app, self._plan, query, condition)

    def read(self, ids: Sequence[str], reps: Collection[Rep], /) -> Mapping[str, Record]:
        """Read the records of these ids that there are, one by one."""
        able = filter(_addressable, dict.fromkeys(ids))
        found = ((id_, self.app.get(id_)) for id_ in able)
        return {
            id_: self._plan.record(id_, fields, reps) for id_, fields in found if fields is not None
        }

    def scan(self, where: Filter | None, reps: Collection[Rep], /) -> Iterator[Record]:
        """Stream every record that matches, by a visit to all."""
        cluster = self._cluster()
        for name, fields in self.app.visit(cluster) if cluster else ():
            record = self._plan.record(name, fields, reps)
            if where is None or matches(where, record.document):
                yield record

    def delete(self, where: Filter, /) -> None:
        """Forget what matches."""
        ids = (
            where.ids
            if isinstance(where, Ids)
            else [one.document.id for one in self.scan(where, ())]
        )
        self.app.delete((id_, id_) for id_ in ids if _addressable(id_))

    def count(self, where: Filter | None, /) -> int:
        """Count what matches, by a visit to all unless that is everything."""
        if where is None:
            return self.app.count(EVERYTHING)
        return sum(1 for _ in self.scan(where, ()))

    def flush(self) -> None:
        """Do nothing: a document is in the log of its node, and found, before Vespa answers."""

    def _check(self, rep: Rep, schema: str) -> None:
        profile = PROFILES[rep]
        try:
            self.app.ask(NOTHING, select=["documentid"], ranking=profile, hits=0)
        except VespaError as error:
            raise IndexNotFoundError(
                f"the schema {schema!r} has no rank profile {profile} ({error}); let "
                "m3kit_vespa.add_profiles add it to the application package, and deploy it again"
            ) from error

    def _written(self, record: Record) -> Written:
        id_ = record.document.id
        return id_, id_, lambda: self._plan.written(record)

    def _cluster(self) -> str:
        """Ask where the documents are; "" if there are none."""
        hits = self.app.ask(EVERYTHING, select=["documentid"], hits=1, ranking="unranked")
        return str(hits[0]["source"]) if hits else ""

    def close(self) -> None:
        """Close the connections."""
        self.app.close()


@dataclass(frozen=True, slots=True)
class Existing:
    """How a schema that others made is asked, and how its documents are read and written."""

    names: FieldNames
    attributes: Sequence[str]

    @property
    def fields(self) -> Sequence[str]:
        """What a document is read from: all, where its metadata is spread over fields unnamed."""
        if self.names.metadata is None and not self.attributes:
            return ["*"]
        named = [self.names.text, *filter(None, [self.names.metadata]), *self.attributes]
        return list(dict.fromkeys([*self.id_fields, *named]))

    @property
    def id_fields(self) -> Sequence[str]:
        """What an id is read from."""
        return ["documentid", *filter(None, [self.names.id])]

    def branch(self, rep: Rep, query: M3Output, size: int) -> str:  # noqa: ARG002  # a Plan's
        """Say what finds candidates: of sparse and ColBERT vectors, every document."""
        return nearest(self.names.dense or "", size) if rep == "dense" else EVERYTHING

    def id(self, hit: Any) -> str:
        """Read an id: of a field, or the last part of Vespa's own, which has five."""
        if self.names.id is not None:
            return str(hit["fields"][self.names.id])
        return str(hit["fields"]["documentid"]).split(":", 4)[4]

    def document(self, hit: Any) -> Document:
        """Read a document."""
        return self._document(self.id(hit), hit["fields"])

    def record(self, name: str, fields: Mapping[str, Any], reps: Collection[Rep]) -> Record:
        """Read a record, of Vespa's own answer about a document."""
        id_ = name if self.names.id is None else str(fields[self.names.id])
        vectors: dict[Rep, Any] = {rep: fields.get(self.names.vector(rep) or "") for rep in reps}
        output = M3Output(
            dense=to_dense(vectors["dense"]) if "dense" in vectors else None,
            sparse=to_sparse(vectors["sparse"]) if "sparse" in vectors else None,
            colbert=to_colbert(vectors["colbert"], "float32", 0) if "colbert" in vectors else None,
        )
        return Record(self._document(id_, fields), output)

    def written(self, record: Record) -> dict[str, Any]:
        """Write a record as fields; Vespa itself turns numbers into its cells."""
        document, output, names = record.document, record.output, self.names
        fields: dict[str, Any] = dict(document.metadata)
        if names.metadata is not None:
            fields = {names.metadata: json.dumps(document.metadata)}
        fields[names.text] = document.text
        if names.id is not None:
            fields[names.id] = document.id
        if names.dense is not None and output.dense is not None:
            fields[names.dense] = {"values": output.dense.tolist()}
        if names.sparse is not None and output.sparse is not None:
            cells = {str(id_): weight for id_, weight in output.sparse.to_dict().items()}
            fields[names.sparse] = {"cells": cells}
        if names.colbert is not None and output.colbert is not None:
            rows = {str(n): row for n, row in enumerate(output.colbert.tolist())}
            fields[names.colbert] = {"blocks": rows}
        return fields

    def _document(self, id_: str, fields: Mapping[str, Any]) -> Document:
        names = self.names
        if names.metadata is not None:
            nested = fields.get(names.metadata, {})
            metadata = json.loads(nested) if isinstance(nested, str) else nested
        else:
            own = {names.id, names.text, *(names.vector(rep) for rep in REPS), *_VESPAS}
            kept = self.attributes or [name for name in fields if name not in own]
            metadata = {name: fields[name] for name in kept if name in fields and name not in own}
        return Document(id_, fields.get(names.text, ""), metadata)


_VESPAS = {"documentid", "sddocname", "matchfeatures", "summaryfeatures", "rankfeatures"}
"""What Vespa adds to the fields of a hit."""


def _addressable(id_: str) -> bool:
    """Tell whether a URL names a document of this id, and not another."""
    return not any(part in {"", ".", ".."} for part in id_.split("/"))
