from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from tests.vespa.application import application
from tests.vespa_peer.peer import Peer, missing
from vespa.application import Vespa

from m3kit.filters import All
from m3kit.testing import DIM
from m3kit_vespa import VespaIndex


@pytest.fixture(scope="session")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a peer that serves the tests' application."""
    if why := missing():
        pytest.skip(why)
    folder = tmp_path_factory.mktemp("application")
    application().to_files(folder)
    with Peer(folder) as peer:
        yield peer.url


@pytest.fixture(scope="session")
def app(url: str) -> Vespa:
    return Vespa(url)


@pytest.fixture(scope="session")
def emptied(app: Vespa) -> Callable[[str], VespaIndex]:
    """Open an index of the application by its name, with nothing in it."""
    opened: dict[str, VespaIndex] = {}

    def empty(schema: str) -> VespaIndex:
        if schema not in opened:
            opened[schema] = VespaIndex(app, schema, dim=6 if schema == "six" else DIM)
        opened[schema].delete_where(All())
        return opened[schema]

    return empty
