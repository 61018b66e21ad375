from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.vespa_peer.client import Client
from tests.vespa_peer.corpus import DOCUMENTS, fields
from tests.vespa_peer.peer import HERE, Peer, missing

_UNKNOWN = (
    "\n    rank-profile unknown {\n first-phase {\n expression: fieldMatch(text)\n }\n }\n}\n"
)


@pytest.fixture(scope="session")
def package() -> Path:
    """The application package beside this file, where it can be used."""
    if reason := missing():
        pytest.skip(reason)
    return HERE / "app"


@pytest.fixture(scope="session")
def served(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A peer with nothing in it, and with a rank profile that it does not know."""
    copy = tmp_path_factory.mktemp("vespa") / "app"
    shutil.copytree(package, copy)
    schema = copy / "schemas/paper.sd"
    schema.write_text(schema.read_text().rstrip().removesuffix("}") + _UNKNOWN)
    with Peer(copy) as peer:
        yield Client(peer.url)


@pytest.fixture(scope="session")
def papers(served: Client) -> Client:
    """The peer with the documents of the corpus."""
    for key in DOCUMENTS:
        served.put(key, fields(key))
    return served


@pytest.fixture
def empty(served: Client) -> Iterator[Client]:
    """The peer for documents of one's own, whose keys begin with `own`."""
    yield served
    for page in served.visit(wantedDocumentCount=1000):
        for key in page:
            if key.startswith("id:paper:paper::own"):
                served.document("DELETE", key.removeprefix("id:paper:paper::"))
