"""One query plan for both of Qdrant's engines: what `EdgeIndex` and `QdrantIndex` share."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from m3kit._batching import batched, chunked
from m3kit.adapters import ranking
from m3kit.adapters.manifest import Manifest
from m3kit.filters import Filter, Ids
from m3kit.fusion import Ranking
from m3kit.index import DocumentError
from m3kit.records import Document, Record
from m3kit.vectors import M3Output, Rep
from m3kit_qdrant.coding import coding
from m3kit_qdrant.engine import Ask, Engine, Found, Key, Point, Select, Stored
from m3kit_qdrant.filters import Condition
from m3kit_qdrant.layout import Layout

_BATCH = 4 * 2**20
"""Bytes that are written at once; as JSON some 22 MB, where a server takes 32."""

_PAGE = 256
_PAGE_OF_COLBERT = 16

_SPARE = 8
"""How many more are rescored than a fusion keeps, as an engine breaks its ties otherwise."""

_UUID = 32
"""Digits of a UUID."""

_FEW = 64
"""Up to so many hits come with their documents; of more, many would come for nothing."""


class Points:
    """
    The points of an engine, as an `m3kit.adapters.store.Store`.

    Args:
        engine: Who holds them.
        layout: How documents lie in them.
        manifest: What they are.
    """

    tokens = 2**32

    def __init__(self, engine: Engine, layout: Layout, manifest: Manifest) -> None:
        self._engine = engine
        self._layout = layout
        self.manifest = manifest

    def write(self, records: Sequence[Record], /) -> None:
        """Write records, batch by batch; see `Store.write`."""
        points = [self._point(record) for record in records]
        for point, record in zip(points, records, strict=True):
            self._check_limits(point, record.document.id)
        for batch in chunked(points, size=lambda point: point.nbytes, budget=_BATCH):
            self._engine.write(batch if self._layout.is_keyed else self._placed(batch))

    def searcher(self, query: M3Output, where: Filter | None, /) -> _Searcher:
        """Take up a query; see `Store.searcher`."""
        return _Searcher(self._engine, self._layout, query, self._where(where))

    def read(self, ids: Sequence[str], reps: Collection[Rep], /) -> dict[str, Record]:
        """Read records; see `Store.read`."""
        records = (
            self._record(point, reps)
            for some in batched(dict.fromkeys(ids), _page(reps))
            for point in self._stored(tuple(some), reps)
        )
        return {record.document.id: record for record in records}

    def scan(self, where: Filter | None, reps: Collection[Rep], /) -> Iterator[Record]:
        """Stream what matches, page by page; see `Store.scan`."""
        points = self._scanned(self._where(where), reps)
        return (self._record(point, reps) for point in points)

    def delete(self, where: Filter, /) -> None:
        """Forget what matches; see `Store.delete`."""
        self._engine.delete(self._layout.where(where))

    def count(self, where: Filter | None, /) -> int:
        """Count what matches; see `Store.count`."""
        return self._engine.count(self._where(where))

    def flush(self) -> None:
        """Return when what was written is durable; see `Store.flush`."""
        self._engine.flush()

    def _point(self, record: Record) -> Point:
        output = record.output
        if output.colbert is not None:
            output = replace(output, colbert=self.manifest.colbert.stored(output.colbert))
        payload = self._layout.payload(record.document)
        nbytes = output.nbytes + len(str(payload))
        return Point(self._layout.key(record.document.id), output, payload, nbytes)

    def _check_limits(self, point: Point, id_: str) -> None:
        sparse, colbert, limit = (
            point.output.sparse,
            point.output.colbert,
            self._engine.colbert_limit,
        )
        if sparse is not None and len(sparse) and sparse.ids[-1] >= self.tokens:
            raise DocumentError(
                f"document {id_!r} has the token {sparse.ids[-1]}, and Qdrant's ids of tokens are "
                f"below {self.tokens}"
            )
        if colbert is None or limit is None:
            return
        numbers = len(colbert) * coding(self.manifest.colbert).width(self.manifest.dim)
        if numbers >= limit:
            raise DocumentError(
                f"document {id_!r} has {numbers} numbers of ColBERT vectors, and a Qdrant server "
                f"holds fewer than {limit} of one document; split its text, or pool its vectors "
                "(ColbertStorage)"
            )

    def _placed(self, points: Sequence[Point]) -> list[Point]:
        """Put points in the place of those that hold the same documents, whatever their keys."""
        ids = [self._layout.id(point.key, point.payload) for point in points]
        where = self._layout.where(Ids(tuple(ids)))
        there = {
            self._layout.id(point.key, point.payload): point.key
            for point in self._scanned(where, ())
        }
        return [
            replace(point, key=there.get(id_, point.key))
            for id_, point in zip(ids, points, strict=True)
        ]

    def _stored(self, ids: tuple[str, ...], reps: Collection[Rep]) -> Sequence[Stored]:
        if self._layout.is_keyed:
            return self._engine.retrieve(self._layout.keys(ids), reps, self._layout.of_document)
        return list(self._scanned(self._layout.where(Ids(ids)), reps))

    def _scanned(self, where: Condition | None, reps: Collection[Rep]) -> Iterator[Stored]:
        points, start = self._engine.scroll(where, reps, None, _page(reps))
        yield from points
        while start is not None:
            points, start = self._engine.scroll(where, reps, start, _page(reps))
            yield from points

    def _record(self, point: Stored, reps: Collection[Rep]) -> Record:
        document = self._layout.document(point.key, point.payload)
        return Record(document, point.output.only(*reps))

    def _where(self, where: Filter | None) -> Condition | None:
        return None if where is None else self._layout.where(where)


@dataclass(frozen=True, slots=True)
class _Searcher(ranking.Scorer):
    """
    What `m3kit.adapters.ranking` asks of an engine; documents go by the keys of their points.

    What an answer tells beyond the question is kept: payloads that came with their scores, and,
    from a server, the ColBERT scores of those that the fusion of the branches is likely to keep,
    which are asked for in the same request.
    """

    engine: Engine
    layout: Layout
    query: M3Output
    where: Condition | None
    told: dict[str, float] = field(default_factory=dict)
    came: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    def nearest(self, reps: Collection[Rep], limit: int) -> Mapping[Rep, Ranking]:
        ahead = self._ahead(reps, limit)

        def ask(sizes: Mapping[Rep, int]) -> Mapping[Rep, Ranking]:
            asked = [self._ask(rep, size, self.where) for rep, size in sizes.items()]
            answers = self._answers([*asked, *ahead])
            self.told.update(pair for answer in answers[len(asked) :] for pair in answer)
            ahead.clear()
            return dict(zip(sizes, answers, strict=False))

        return ranking.nearest(ask, reps, limit, ids=self.ids, noise=self.engine.noise)

    def scores(self, wanted: Mapping[Rep, Sequence[str]]) -> Mapping[Rep, Mapping[str, float]]:
        asked = {
            rep: self._ask(rep, len(missing), self._has(missing), exact=True)
            for rep, names in wanted.items()
            if (missing := [name for name in names if self._told(rep, name) is None])
        }
        answers = dict(zip(asked, self._answers([*asked.values()]), strict=True))
        return {
            rep: {name: told for name in names if (told := self._told(rep, name)) is not None}
            | dict(answers.get(rep, ()))
            for rep, names in wanted.items()
        }

    def ids(self, names: Sequence[str], /) -> Mapping[str, str]:
        select = self.layout.of_id
        if select is False:
            return {name: self.layout.id(_key(name), {}) for name in names}
        few = len(names) <= _FEW  # which then are likely to be hits, too
        payloads = self._payloads(names, self.layout.of_document if few else select, keep=few)
        return {name: self.layout.id(_key(name), own) for name, own in payloads.items()}

    def documents(self, names: Sequence[str], /) -> Mapping[str, Document]:
        payloads = self._payloads(names, self.layout.of_document, keep=False)
        return {name: self.layout.document(_key(name), own) for name, own in payloads.items()}

    def _payloads(
        self, names: Sequence[str], select: Select, *, keep: bool
    ) -> Mapping[str, Mapping[str, Any]]:
        missing = [_key(name) for name in names if name not in self.came]
        read = {
            str(point.key): point.payload
            for some in batched(missing, _PAGE)
            for point in self.engine.retrieve(some, (), select)
        }
        if keep:
            self.came.update(read)
        known = read | self.came
        return {name: known[name] for name in names if name in known}

    def _told(self, rep: Rep, name: str) -> float | None:
        return self.told.get(name) if rep == "colbert" else None

    def _ahead(self, reps: Collection[Rep], limit: int) -> list[Ask]:
        """Ask a server together with the branches for what their fusion is rescored by."""
        if not self.engine.is_remote or self.query.colbert is None or "colbert" in reps:
            return []
        branches = tuple(self._ask(rep, limit + _SPARE, self.where) for rep in reps)
        return [self._ask("colbert", limit + 2 * _SPARE, None, among=branches)]

    def _ask(
        self,
        rep: Rep,
        limit: int,
        where: Condition | None,
        *,
        exact: bool = False,
        among: tuple[Ask, ...] = (),
    ) -> Ask:
        whole = bool(among) or (len(self.query.reps) == 1 and limit <= _FEW)
        select = self.layout.of_document if whole else False
        return Ask(rep, self.query, where, limit, select, exact, among)

    def _answers(self, asked: Sequence[Ask]) -> list[Ranking]:
        answers = self.engine.query(asked) if asked else []
        return [self._read(ask, answer) for ask, answer in zip(asked, answers, strict=True)]

    def _read(self, ask: Ask, answer: Sequence[Found]) -> Ranking:
        if ask.select is not False:
            self.came.update((str(found.key), found.payload) for found in answer)
        return [(str(key), score) for key, score, _ in answer]

    def _has(self, names: Sequence[str]) -> Condition:
        return {"has_id": [_key(name) for name in names]}


def _key(name: str) -> Key:
    """Return the key that a document goes by: a UUID, or fewer digits than one has."""
    return int(name) if name.isdecimal() and len(name) < _UUID else name


def _page(reps: Collection[Rep]) -> int:
    return _PAGE_OF_COLBERT if "colbert" in reps else _PAGE
