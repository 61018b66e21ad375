"""Requests to Vespa, by pyvespa; an incomplete answer is an error."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from threading import Lock
from typing import Any, TypeAlias

from httpr import HTTPError
from vespa.application import Vespa, VespaSync
from vespa.exceptions import VespaError

from m3kit.adapters.forks import check_process
from m3kit.index import M3Error

_WRITERS = 8
"""How many documents are written at once."""

_RETRIES = 3
"""How often a request is repeated that the server was too busy for, or that lost its connection."""

_BUSY = {
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
}
"""What a server answers that may take the same request later."""

_VISITED = 512
"""How many documents a page of a visit has, or some more."""

Written: TypeAlias = tuple[str, str, Callable[[], Mapping[str, Any]]]
"""A document to be written: its id, its name in Vespa, and what makes its fields."""


class AnswerError(M3Error):
    """A query that Vespa answered in part or not at all."""


class FeedError(M3Error):
    """
    Documents that were not written or not deleted; the others were.

    To do it again with all of them does no harm.

    Args:
        failures: Why, by the document's id.
        transient: Whether every failure was one of the connection, which may pass.
    """

    def __init__(self, failures: Mapping[str, str], *, transient: bool = False) -> None:
        self.failures = failures
        self.transient = transient
        id_, why = next(iter(failures.items()))
        more = f", and {len(failures) - 1} more" if len(failures) > 1 else ""
        super().__init__(f"Vespa refused document {id_!r}{more}: {why}")


class SchemaClient:
    """
    One schema of an application. Threads may share it.

    Args:
        app: pyvespa's client of the application.
        schema: The schema, whose name is the documents' namespace too.
        timeout: How many seconds a query may take.
        tensors: The form in which tensors are returned.

    Raises:
        ValueError: If no schema can have this name.
        RuntimeError: From every method, if this process was forked since.
    """

    def __init__(self, app: Vespa, schema: str, timeout: float, *, tensors: str = "hex") -> None:
        if not re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", schema):
            raise ValueError(
                f"{schema!r} is not the name of a schema, which has letters, digits and '_'"
            )
        self._app = app
        self._schema = schema
        self._within = {"timeout": f"{timeout}s"}
        self._tensors = tensors
        self._connections: Any = None
        self._pid = os.getpid()
        self._lock = Lock()

    def search(self, where: str, *, select: Iterable[str], **parameters: Any) -> list[Any]:
        """
        Return the hits of a query.

        Args:
            where: The condition, in YQL.
            select: The fields of a hit.
            parameters: More of Vespa's query parameters.

        Raises:
            AnswerError: If not all documents were looked at.
            VespaError: If Vespa refuses the query.
        """
        return list(self._root(where, select, parameters).get("children", ()))

    def count(self, where: str) -> int:
        """Count the documents that match."""
        root = self._root(where, ("documentid",), {"hits": 0, "ranking": "unranked"})
        return int(root["fields"]["totalCount"])

    def cluster(self) -> str | None:
        """Name the content cluster of the schema; None while it has no documents."""
        hits = self.search("true", select=["documentid"], hits=1, ranking="unranked")
        return str(hits[0]["source"]) if hits else None

    def write(self, documents: Iterable[Written]) -> None:
        """
        Write documents.

        Raises:
            FeedError: If Vespa refused some of them; the others are written.
        """
        session = self._session()

        def put(_: str, name: str, fields: Callable[[], Mapping[str, Any]]) -> None:
            session.feed_data_point(self._schema, name, dict(fields()), **self._within)

        _for_each(put, documents)

    def create(self, name: str, fields: Mapping[str, Any]) -> None:
        """Write a document, unless there is one of this name, which stays as it is."""
        parameters: dict[str, Any] = {"condition": "false", "create": "true", **self._within}
        try:
            self._session().feed_data_point(self._schema, name, dict(fields), **parameters)
        except VespaError as error:
            if _status(error) != HTTPStatus.PRECONDITION_FAILED:
                raise

    def delete(self, documents: Iterable[tuple[str, str]]) -> None:
        """
        Delete documents, given by their ids and names in Vespa; unknown ones are no error.

        Raises:
            FeedError: If Vespa did not delete some of them.
        """
        session = self._session()

        def delete(_: str, name: str) -> None:
            session.delete_data(self._schema, name, **self._within)

        _for_each(delete, documents)

    def delete_all(self) -> None:
        """Delete every document."""
        if (cluster := self.cluster()) is not None:
            self._session().delete_all_docs(cluster, schema=self._schema)

    def get(self, name: str) -> Mapping[str, Any] | None:
        """Read the fields of a document by its name in Vespa, and its `documentid`."""
        parameters: dict[str, Any] = {"format.tensors": self._tensors, **self._within}
        answer = self._session().get_data(self._schema, name, **parameters)
        if answer.status_code == HTTPStatus.NOT_FOUND:
            return None
        return {**answer.json.get("fields", {}), "documentid": answer.json["id"]}

    def visit(self, fields: Sequence[str]) -> Iterator[Mapping[str, Any]]:
        """
        Stream the fields of every document, page by page, with its `documentid`.

        Args:
            fields: The fields wanted; `*` is all.

        Raises:
            VespaError: If the schema lacks one of them.
        """
        cluster = self.cluster()
        if cluster is None:
            return
        names = ",".join(name for name in fields if name != "documentid")
        field_set = f"{self._schema}:{'[document]' if '*' in fields else names}"
        parameters: dict[str, Any] = {
            "fieldSet": field_set,
            "format.tensors": self._tensors,
            "wanted_document_count": _VISITED,
            **self._within,
        }
        pages = self._session().visit(cluster, schema=self._schema, slice_id=0, **parameters)
        for page in next(pages):
            for document in page.documents:
                yield {**document["fields"], "documentid": document["id"]}

    def close(self) -> None:
        """Close the connections; the next request opens others. A forked process has none."""
        if os.getpid() != self._pid:
            return
        with self._lock:
            if self._connections is not None:
                self._connections.close()
                self._connections = None

    def _root(self, where: str, select: Iterable[str], parameters: Mapping[str, Any]) -> Any:
        body = {
            "yql": f"select {', '.join(select)} from {self._schema} where {where}",  # noqa: S608  # names, and what the translation has quoted
            "model.restrict": self._schema,  # inputs are of its types, not of all schemas'
            **self._within,
            "ranking.softtimeout.enable": False,
            "presentation.format.tensors": self._tensors,
            **parameters,
        }
        answer: Any = self._session().query(body=body)
        root = answer.json["root"]
        if errors := root.get("errors"):
            raise AnswerError(f"Vespa could not answer: {errors[0].get('message', errors[0])}")
        if not root.get("coverage", {}).get("full", True):
            raise AnswerError(
                f"Vespa looked at only {root['coverage'].get('coverage')} % of the documents; "
                "give it more time by timeout=, or check its nodes"
            )
        return root

    def _session(self) -> VespaSync:
        check_process(self._pid, f"the schema {self._schema!r}")
        with self._lock:
            if self._connections is None:
                self._connections = self._app.get_sync_session()
            return VespaSync(
                self._app, session=self._connections, compress=False, num_retries_429=_RETRIES
            )


def is_transient(error: Exception) -> bool:
    """Tell whether a request may succeed later: a server that is away, or too busy."""
    if isinstance(error, FeedError):
        return error.transient
    if isinstance(error, VespaError):
        return _status(error) in _BUSY
    return isinstance(error, HTTPError | ConnectionError | TimeoutError)


def _status(error: VespaError) -> int | None:
    answer = getattr(error.__cause__, "response", None)
    return getattr(answer, "status_code", None)


def _for_each(do: Callable[..., object], documents: Iterable[tuple[Any, ...]]) -> None:
    """Do something with each document, several at once; failures are raised when all are done."""
    failures: dict[str, str] = {}
    permanent: list[str] = []

    def attempt(document: tuple[Any, ...]) -> None:
        try:
            do(*document)
        except (VespaError, HTTPError, OSError, RuntimeError) as error:
            failures[document[0]] = str(error)
            if not is_transient(error):
                permanent.append(document[0])

    with ThreadPoolExecutor(_WRITERS) as pool:
        for _ in pool.map(attempt, documents):
            pass
    if failures:
        raise FeedError(failures, transient=not permanent)
