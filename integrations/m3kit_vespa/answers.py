"""Questions to Vespa, by pyvespa; an answer that is not whole is an error."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from threading import Lock
from typing import Any, TypeAlias

from httpr import HTTPError
from vespa.application import Vespa, VespaSync
from vespa.exceptions import VespaError

from m3kit.index import M3Error

_WRITERS = 8
"""How many documents are on their way at once."""

_RETRIES = 3
"""How often a request is repeated that the server was too busy for, or that lost its connection."""

_VISITED = 512
"""How many documents a page of a visit has, or some more."""

Written: TypeAlias = tuple[str, str, Callable[[], Mapping[str, Any]]]
"""A document to be written: its id, its name in Vespa, and what gives its fields."""


class AnswerError(M3Error):
    """A query that Vespa answered in part or not at all."""


class FeedError(M3Error):
    """
    Documents that were not written or not deleted; the others were.

    To do it again with all of them does no harm.

    Args:
        failures: Why, by the document's id.
    """

    def __init__(self, failures: Mapping[str, str]) -> None:
        self.failures = failures
        id_, why = next(iter(failures.items()))
        more = f", and {len(failures) - 1} more" if len(failures) > 1 else ""
        super().__init__(f"Vespa refused document {id_!r}{more}: {why}")


class Application:
    """
    One schema of an application behind pyvespa's client. Threads may share it.

    Args:
        app: The client.
        schema: The schema, whose name is the documents' namespace too.
        timeout: How many seconds a query may take.
        tensors: The form in which they come back.

    Raises:
        ValueError: If no schema can have this name.
    """

    def __init__(self, app: Vespa, schema: str, timeout: float, *, tensors: str = "hex") -> None:
        if not re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", schema):
            raise ValueError(f"{schema!r} names no schema: letters, digits and '_' do")
        self._app = app
        self._schema = schema
        self._within = {"timeout": f"{timeout}s"}
        self._tensors = tensors
        self._connections: Any = None
        self._lock = Lock()

    def ask(self, where: str, *, select: Iterable[str] = ("key",), **how: Any) -> list[Any]:
        """
        Return the hits of a query.

        Raises:
            AnswerError: If not all documents were looked at.
            VespaError: If Vespa refuses the query.
        """
        return list(self._root(where, select, how).get("children", ()))

    def count(self, where: str) -> int:
        """Count the documents that match."""
        root = self._root(where, ("key",), {"hits": 0, "ranking": "unranked"})
        return int(root["fields"]["totalCount"])

    def write(self, documents: Iterable[Written]) -> None:
        """
        Write documents.

        Raises:
            FeedError: If Vespa took some of them not; the others are written.
        """
        session = self._session()

        def put(document: Written) -> None:
            session.feed_data_point(self._schema, document[1], dict(document[2]()), **self._within)

        _all(put, documents)

    def create(self, name: str, fields: Mapping[str, Any]) -> None:
        """Write a document, unless there is one of this name: that one stays as it is."""
        how: dict[str, Any] = {"condition": "false", "create": "true", **self._within}
        try:
            self._session().feed_data_point(self._schema, name, dict(fields), **how)
        except VespaError as error:
            answer = getattr(error.__cause__, "response", None)
            if getattr(answer, "status_code", None) != HTTPStatus.PRECONDITION_FAILED:
                raise

    def delete(self, documents: Iterable[tuple[str, str]]) -> None:
        """
        Delete documents, of each its id and its name in Vespa; unknown ones are no error.

        Raises:
            FeedError: If Vespa deleted some of them not.
        """
        session = self._session()

        def forget(document: tuple[str, str]) -> None:
            session.delete_data(self._schema, document[1], **self._within)

        _all(forget, documents)

    def clear(self, cluster: str) -> None:
        """Delete every document."""
        self._session().delete_all_docs(cluster, schema=self._schema)

    def get(self, name: str) -> Mapping[str, Any] | None:
        """Read the fields of a document by its name in Vespa."""
        how: dict[str, Any] = {"format.tensors": self._tensors, **self._within}
        answer = self._session().get_data(self._schema, name, **how)
        return None if answer.status_code == 404 else answer.json.get("fields", {})

    def visit(
        self, cluster: str, fields: Sequence[str] = ()
    ) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """
        Stream the names and fields of every document, page by page.

        Args:
            cluster: The content cluster.
            fields: The fields wanted; all of the document's if none is named.
        """
        names = ",".join(fields) or "[document]"
        how: dict[str, Any] = {"fieldSet": f"{self._schema}:{names}", **self._within}
        how["format.tensors"] = self._tensors
        pages = self._session().visit(
            cluster,
            schema=self._schema,
            slice_id=0,
            wanted_document_count=_VISITED,
            **how,
        )
        for page in next(pages):
            yield from (
                (document["id"].split(":", 4)[4], document["fields"]) for document in page.documents
            )

    def close(self) -> None:
        """Close the connections; the next request opens others."""
        with self._lock:
            if self._connections is not None:
                self._connections.close()
                self._connections = None

    def _root(self, where: str, select: Iterable[str], how: Mapping[str, Any]) -> Any:
        body = {
            "yql": f"select {', '.join(select)} from {self._schema} where {where}",  # noqa: S608  # names, and what to_yql has written
            "model.restrict": self._schema,  # inputs are of its types, not of all schemas'
            **self._within,
            "ranking.softtimeout.enable": False,
            "presentation.format.tensors": self._tensors,
            **how,
        }
        answer: Any = self._session().query(body=body)
        root = answer.json["root"]
        if errors := root.get("errors"):
            raise AnswerError(f"Vespa could not answer: {errors[0].get('message', errors[0])}")
        if not root.get("coverage", {}).get("full", True):
            raise AnswerError(
                f"Vespa looked at {root['coverage'].get('coverage')} % of the documents alone; "
                "give it more time by timeout=, or see to its nodes"
            )
        return root

    def _session(self) -> VespaSync:
        with self._lock:
            if self._connections is None:
                self._connections = self._app.get_sync_session()
            return VespaSync(
                self._app,
                session=self._connections,
                compress=False,
                num_retries_429=_RETRIES,
            )


def _all(do: Callable[[Any], object], documents: Iterable[tuple[Any, ...]]) -> None:
    """Do something with each document, several at once; what fails is told when all are done."""
    failures: dict[str, str] = {}

    def one(document: tuple[Any, ...]) -> None:
        try:
            do(document)
        except (VespaError, HTTPError, OSError, RuntimeError) as error:
            failures[document[0]] = str(error)

    with ThreadPoolExecutor(_WRITERS) as pool:
        for _ in pool.map(one, documents):
            pass
    if failures:
        raise FeedError(failures)
