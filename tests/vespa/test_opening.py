"""Addresses, and what is expected where nobody answers."""

from __future__ import annotations

import socket
from importlib.metadata import entry_points
from pathlib import Path
from time import monotonic

import pytest
from vespa.application import Vespa

from m3kit import open_index
from m3kit.filters import All
from m3kit.index import RepresentationError
from m3kit.testing import DIM, DOCUMENTS, records
from m3kit.vectors import REPS
from m3kit_vespa import VespaIndex, open_server

MODEL = "BAAI/bge-m3@5617a9f6"
TOKEN = "vespa_cloud_s3cret"  # noqa: S105  # the one that must not be seen


@pytest.fixture
def nobody() -> str:
    """A host and a port where nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"


def test_the_entry_point_is_this_function() -> None:
    (known,) = entry_points(group="m3kit.indexes", name="vespa")
    assert known.load() is open_server


def test_an_absent_server_is_named_within_seconds(
    nobody: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("VESPA_CLOUD_SECRET_TOKEN", TOKEN)
    start = monotonic()
    with pytest.raises(ConnectionError, match=f"answers at http://{nobody} .*start it") as caught:
        open_index(f"vespa://{nobody}/papers", dim=DIM)
    assert monotonic() - start < 5
    assert "s3cret" not in f"{caught.value!r} {caught.value.__cause__!r} {caplog.text}"


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("localhost:8080", "form host:8080/schema"),
        ("localhost:8080/a/b", "form host:8080/schema"),
        ("/a", "form host:8080/schema"),
        ("localhost:99999/a", "valid port"),
        ("localhost:x/a", "valid port"),
        ("localhost:8080/a?https=1", "true or false"),
        ("localhost:8080/a?token=x", "holds no secret"),
        ("s3cret@localhost:8080/a", "holds no secret"),
    ],
)
def test_another_address_is_refused(address: str, expected: str) -> None:
    with pytest.raises(ValueError, match=expected) as caught:
        open_server(address, dim=DIM, reps=REPS, model=None)
    assert "s3cret" not in str(caught.value)


def test_a_name_that_is_no_schemas_never_reaches_a_query(nobody: str) -> None:
    with pytest.raises(ValueError, match="not the name of a schema"):
        VespaIndex(Vespa(f"http://{nobody}"), 'a where true or b contains "', dim=DIM)


def test_a_certificate_that_is_not_there_is_named(
    nobody: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("VESPA_CLIENT_CERT", str(tmp_path / "cert.pem"))
    with pytest.raises(ValueError, match="VESPA_CLIENT_CERT names"):
        open_server(f"{nobody}/papers", dim=DIM, reps=REPS, model=None)


@pytest.mark.peer
def test_an_address_is_a_schema_on_a_server(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VESPA_CLOUD_SECRET_TOKEN", TOKEN)
    address = f"{url.replace('http', 'vespa')}/bits"
    with open_index(address, dim=DIM) as index:
        assert isinstance(index, VespaIndex)
        index.delete_where(All())
        index.upsert(records(DOCUMENTS[:3]))
        assert TOKEN not in f"{index!r} {vars(index)!r}"
        assert "colbert=binary" in repr(index)
    index.close()
    with open_index(address) as index:
        assert index.count() == 3


@pytest.mark.peer
def test_what_the_deployed_schema_does_not_hold_is_refused(url: str) -> None:
    place = url.removeprefix("http://")
    with pytest.raises(RepresentationError, match=r"holds dense and none of colbert"):
        open_server(f"{place}/cases", dim=DIM, reps=["colbert"], model=None)
