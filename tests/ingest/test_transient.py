"""Which errors of a store may pass, as its adapter knows them."""

from __future__ import annotations

import grpc
import pytest
from grpc import StatusCode
from httpx import Headers
from pymilvus import MilvusException
from qdrant_client import QdrantClient
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from m3kit import MemoryIndex
from m3kit.index import TellsTransient
from m3kit.ingest.retries import is_transient
from m3kit.testing import DIM
from m3kit_milvus import client as milvus
from m3kit_qdrant import QdrantIndex
from m3kit_vespa import client as vespa


class Failed(grpc.RpcError, grpc.Call):  # type: ignore[misc]  # grpc has no types
    """A call that failed with a code."""

    def __init__(self, code: StatusCode) -> None:
        self._code = code

    def code(self) -> StatusCode:
        return self._code

    def details(self) -> str:
        return "details"


def refused(status: int) -> UnexpectedResponse:
    return UnexpectedResponse(status, "reason", b"", Headers())


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (refused(503), True),
        (refused(429), True),
        (refused(400), False),
        (refused(404), False),
        (ResponseHandlingException(ConnectionError("refused")), True),
        (Failed(StatusCode.UNAVAILABLE), True),
        (Failed(StatusCode.RESOURCE_EXHAUSTED), True),
        (Failed(StatusCode.INVALID_ARGUMENT), False),
        (ConnectionResetError(), True),
        (OSError(28, "No space left on device"), False),
        (ValueError("wrong"), False),
    ],
    ids=repr,
)
def test_of_qdrant(error: Exception, *, passes: bool) -> None:
    index = QdrantIndex(QdrantClient(":memory:"), "papers", dim=DIM)
    assert isinstance(index, TellsTransient)
    assert is_transient(index, error) == passes


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (MilvusException(8, "rate limit"), True),
        (MilvusException(StatusCode.UNAVAILABLE, "away"), True),
        (MilvusException(100, "collection not found"), False),
        (MilvusException(1, "field is wrong"), False),
        (Failed(StatusCode.DEADLINE_EXCEEDED), True),
        (Failed(StatusCode.UNAUTHENTICATED), False),
        (ConnectionError("cannot reach Milvus"), True),
        (OSError("Milvus Lite could not write to its files"), False),
    ],
    ids=repr,
)
def test_of_milvus(error: Exception, *, passes: bool) -> None:
    assert milvus.is_transient(error) == passes


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (vespa.FeedError({"a": "connection refused"}, transient=True), True),
        (vespa.FeedError({"a": "no such field"}), False),
        (vespa.AnswerError("an error of the query"), False),
        (ConnectionError("refused"), True),
    ],
    ids=repr,
)
def test_of_vespa(error: Exception, *, passes: bool) -> None:
    assert vespa.is_transient(error) == passes


def test_of_an_index_that_does_not_tell() -> None:
    index = MemoryIndex(DIM)
    assert is_transient(index, ConnectionError())
    assert is_transient(index, TimeoutError())
    assert not is_transient(index, OSError())
    assert not is_transient(index, KeyboardInterrupt())
