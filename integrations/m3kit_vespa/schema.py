"""One schema that `m3_package` made, as `m3kit.adapters.store` sees it."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from vespa.application import Vespa
from vespa.exceptions import VespaError

from m3kit._batching import batched
from m3kit.adapters.manifest import Manifest
from m3kit.filters import Filter, matches
from m3kit.index import DocumentError, IndexNotFoundError
from m3kit.records import Document, Record
from m3kit.scoring import require
from m3kit.vectors import M3Output, Rep, Sparse
from m3kit_vespa.answers import Application, Written
from m3kit_vespa.filters import EVERYTHING, Terms, has_keys, to_yql
from m3kit_vespa.package import DESCRIPTION, stamp_text
from m3kit_vespa.payload import DOCUMENT_FIELDS, key, read, to_document, to_fields
from m3kit_vespa.searching import Searcher, nearest
from m3kit_vespa.shape import Shape
from m3kit_vespa.tensors import (
    MOST_TOKENS,
    colbert_value,
    dense_value,
    sparse_value,
    to_colbert,
    to_dense,
    to_sparse,
    whole_weights,
)

_PAGE = 256
_PAGE_OF_COLBERT = 16

_LISTED = 10_000
"""How many keys one query lists; who matches more is found by a visit to every document."""


@dataclass(frozen=True, slots=True)
class Own:
    """How a schema of `m3_package` is asked."""

    shape: Shape
    fields: Sequence[str] = DOCUMENT_FIELDS
    id_fields: Sequence[str] = ("id",)

    def branch(self, rep: Rep, query: M3Output, size: int) -> str:
        """Say what finds candidates; see `m3kit_vespa.searching.Plan`."""
        if rep == "colbert":
            return EVERYTHING
        if rep == "dense":
            return nearest("dense", size)
        sparse = require(query.sparse, rep)
        if self.shape.sparse == "exact":
            return f"token_ids in ({', '.join(map(str, sparse.ids.tolist()))})"
        weights = ", ".join(f'"{id_}": {one}' for id_, one in whole_weights(sparse).items())
        return f"({{targetHits: {size}}}wand(tokens, {{{weights}}}))"

    def id(self, hit: Any) -> str:
        """Read an id."""
        return read(hit["fields"]["id"])

    def document(self, hit: Any) -> Document:
        """Read a document."""
        return to_document(hit["fields"])


class Documents:
    """
    The documents of a schema, which is stamped when it is opened first.

    Args:
        app: The client.
        schema: The schema's name.
        timeout: How many seconds a query may take.
        model: What a new index is stamped with.
        new: Whether a new one is to be stamped.

    Raises:
        IndexNotFoundError: If `m3_package` did not make it, or it is new and not to be stamped.
    """

    tokens = MOST_TOKENS

    def __init__(
        self, app: Vespa, schema: str, timeout: float, *, model: str | None, new: bool
    ) -> None:
        self.app = Application(app, schema, timeout)
        self._described = Application(app, DESCRIPTION, timeout)
        self._schema = schema
        what = f"the schema {schema!r}"
        found = self._description(what)
        if found is None and new:
            manifest = {"of": self._schema, "stamp": stamp_text(model)}
            self._described.create(key(self._schema), manifest)
            found = self._description(what)
        if found is None:
            raise IndexNotFoundError(f"there is no index in {what}; give dim to make one")
        fields = found["fields"]
        self._cluster = str(found["source"])
        self.shape = Shape.from_constants(fields["matchfeatures"], what)
        self.manifest = Manifest(
            self.shape.dim,
            self.shape.reps,
            json.loads(fields["stamp"])["model"],
            self.shape.colbert,
        )

    def write(self, records: Sequence[Record], /) -> None:
        """
        Write records, several at once.

        Raises:
            DocumentError: If Vespa cannot hold a document; none is written then.
            FeedError: If Vespa took some of them not; the others are written.
        """
        for record in records:
            _check_tokens(record)
        fields = [to_fields(record.document, self.shape) for record in records]
        self.app.write(map(self._written, records, fields))

    def searcher(self, query: M3Output, where: Filter | None, /) -> Searcher:
        """Take up a query."""
        known = query
        if query.sparse is not None:
            can = query.sparse.ids < MOST_TOKENS
            known = replace(query, sparse=Sparse(query.sparse.ids[can], query.sparse.weights[can]))
        return Searcher(self.app, Own(self.shape), known, self._where(where))

    def read(self, ids: Sequence[str], reps: Collection[Rep], /) -> Mapping[str, Record]:
        """Read the records of these ids that there are, with `reps` of them."""
        keys = [key(id_) for id_ in dict.fromkeys(ids)]
        records = (self._record(fields, reps) for fields in self._fields(keys, reps))
        return {record.document.id: record for record in records}

    def scan(self, where: Filter | None, reps: Collection[Rep], /) -> Iterator[Record]:
        """Stream every record that matches: by its key, or where many match by a visit to all."""
        condition = self._where(where)
        if where is None or self.app.count(condition) > _LISTED:
            visited = self.app.visit(self._cluster, [*DOCUMENT_FIELDS, *reps])
            records = (self._record(fields, reps) for _, fields in visited)
            return (one for one in records if where is None or matches(where, one.document))
        found = self._fields([name for _, name in self._listed(condition)], reps)
        return (self._record(fields, reps) for fields in found)

    def delete(self, where: Filter, /) -> None:
        """Forget what matches, as many at a time as one query lists."""
        condition = self._where(where)
        if condition == EVERYTHING:
            self.app.clear(self._cluster)
            return
        while found := self._listed(condition):
            self.app.delete(found)

    def count(self, where: Filter | None, /) -> int:
        """Count what matches."""
        return self.app.count(self._where(where))

    def flush(self) -> None:
        """Do nothing: a document is in the log of its node, and found, before Vespa answers."""

    def close(self) -> None:
        """Close the connections."""
        self.app.close()
        self._described.close()

    def _written(self, record: Record, fields: Mapping[str, Any]) -> Written:
        """Say how a document is written; its vectors are spelled when its turn comes."""
        return (
            record.document.id,
            fields["key"],
            lambda: {**fields, **self._vectors(record.output)},
        )

    def _where(self, where: Filter | None) -> str:
        return EVERYTHING if where is None else to_yql(where, Terms(self.shape))

    def _listed(self, condition: str) -> list[tuple[str, str]]:
        """List the ids and the keys of the documents that match."""
        hits = self.app.ask(condition, select=["key", "id"], hits=_LISTED, ranking="unranked")
        return [(read(hit["fields"]["id"]), hit["fields"]["key"]) for hit in hits]

    def _fields(self, keys: Sequence[str], reps: Collection[Rep]) -> Iterator[Mapping[str, Any]]:
        for some in batched(keys, _PAGE_OF_COLBERT if "colbert" in reps else _PAGE):
            select = [*DOCUMENT_FIELDS, *reps]
            hits = self.app.ask(has_keys(some), select=select, hits=len(some), ranking="unranked")
            yield from (hit["fields"] for hit in hits if "id" in hit["fields"])

    def _description(self, what: str) -> Any:
        try:
            hits = self._described.ask(
                f'of contains "{self._schema}"', select=["stamp"], ranking=self._schema, hits=1
            )
        except VespaError as error:
            raise IndexNotFoundError(
                f"{what} is none that m3_package made ({error}); deploy the package that it makes, "
                "or name the fields of an existing schema by fields=FieldNames(…)"
            ) from error
        return hits[0] if hits else None

    def _vectors(self, output: M3Output) -> dict[str, Any]:
        vectors: dict[str, Any] = {}
        if output.dense is not None:
            vectors["dense"] = dense_value(output.dense)
        if output.sparse is not None:
            vectors["sparse"] = sparse_value(output.sparse)
            if self.shape.sparse == "exact":
                vectors["token_ids"] = output.sparse.ids.tolist()
            else:
                vectors["tokens"] = whole_weights(output.sparse)
        if output.colbert is not None:
            storage = self.shape.colbert
            vectors["colbert"] = colbert_value(storage.stored(output.colbert), storage.dtype)
        return vectors

    def _record(self, fields: Mapping[str, Any], reps: Collection[Rep]) -> Record:
        colbert = fields["colbert"] if "colbert" in reps else None
        output = M3Output(
            dense=to_dense(fields["dense"]) if "dense" in reps else None,
            sparse=to_sparse(fields.get("sparse")) if "sparse" in reps else None,
            colbert=None
            if colbert is None
            else to_colbert(colbert, self.shape.colbert.dtype, self.shape.dim),
        )
        return Record(to_document(fields), output)


def _check_tokens(record: Record) -> None:
    sparse = record.output.sparse
    if sparse is not None and len(sparse) and sparse.ids[-1] >= MOST_TOKENS:
        raise DocumentError(
            f"document {record.document.id!r} has the token {sparse.ids[-1]}, and Vespa's ids of "
            f"tokens are below {MOST_TOKENS}"
        )
