"""
`VespaIndex` on a real Vespa: `vespaengine/vespa` in a container, or a server that runs.

    python -m pytest -m containers tests/containers/test_vespa.py
    M3KIT_VESPA_URL=http://localhost:8080 python -m pytest -m containers tests/containers

A running server has the application of `tests/vespa/application.py` deployed, by its `to_files` and
`vespa deploy`; the documents of these schemas are deleted.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic, sleep
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest
from testcontainers.core.container import DockerContainer
from testcontainers.core.wait_strategies import HttpWaitStrategy
from tests.containers.conftest import served
from tests.vespa.application import FORMS, application
from tests.vespa.test_client import (  # noqa: F401  # the same tests, collected here too
    test_a_feed_that_fails_names_each_document_and_can_be_resumed,
    test_a_malformed_query_is_vespas_own_error,
)
from tests.vespa.test_filters import (  # noqa: F401  # as above
    cases,
    shop,
    test_a_schema_of_your_own_keeps_what_matches_keeps,
    test_vespa_keeps_what_matches_keeps,
)
from tests.vespa.test_layout import (  # noqa: F401  # as above
    notebook,
    test_a_document_lies_in_fields_of_its_own_names,
    test_an_existing_schema_gives_m3s_scores,
    test_an_existing_schemas_documents_are_read_written_and_deleted,
    test_m3kit_finds_what_pyvespa_wrote,
    test_pyvespa_filters_what_m3kit_wrote,
)
from tests.vespa.test_provision import (  # noqa: F401  # as above
    test_a_wrong_field_name_is_refused_with_those_that_a_document_has,
)
from tests.vespa.test_search import (  # noqa: F401  # as above
    requests,
    test_a_search_equals_the_oracles_and_is_one_request,
    test_more_hits_than_vespa_gives_by_default,
    test_ties_are_broken_by_id_by_asking_each_branch,
)
from tests.vespa.test_store import (  # noqa: F401  # as above
    test_a_visit_continues_page_by_page,
    test_no_id_overwrites_another,
    test_threads_may_share_an_index,
)
from vespa.application import Vespa

from m3kit.filters import All
from m3kit.index import HybridIndex
from m3kit.testing import DIM, IndexConformance
from m3kit_vespa import VespaIndex

pytestmark = pytest.mark.containers
IMAGE = os.environ.get("M3KIT_VESPA_IMAGE", "vespaengine/vespa:8")
_STARTS_S = 300
_DEPLOY = "/application/v2/tenant/default/prepareandactivate"


@pytest.fixture(scope="session")
def url() -> Iterator[str]:
    """The address of a Vespa with the tests' application."""
    with served("M3KIT_VESPA_URL", IMAGE, deployed) as address:
        yield address


@contextmanager
def deployed(image: str) -> Iterator[str]:
    """A container with the application deployed over HTTP; ports are the engine's to choose."""
    container = DockerContainer(image).with_exposed_ports(8080, 19071)
    ready = HttpWaitStrategy(19071, "/state/v1/health").for_status_code(200)
    container.waiting_for(ready.with_startup_timeout(_STARTS_S))
    with container:
        host = container.get_container_host_ip()
        config, url = (
            f"http://{host}:{container.get_exposed_port(port)}" for port in (19071, 8080)
        )
        package = application().to_zip().getvalue()
        request = Request(config + _DEPLOY, package, {"Content-Type": "application/zip"})  # noqa: S310  # http, ours
        with urlopen(request, timeout=_STARTS_S) as answer:  # noqa: S310  # as above
            assert answer.status == 200
        _wait(f"{url}/ApplicationStatus")
        yield url


def _wait(url: str) -> None:
    until = monotonic() + _STARTS_S
    while monotonic() < until:
        try:
            with urlopen(url, timeout=2) as answer:  # noqa: S310  # http, ours
                if answer.status == 200:
                    return
        except (URLError, OSError):
            sleep(0.5)
    raise AssertionError(f"Vespa does not serve the application at {url}")


@pytest.fixture(scope="session")
def app(url: str) -> Vespa:
    return Vespa(url)


@pytest.fixture(scope="session")
def emptied(app: Vespa) -> Callable[[str], VespaIndex]:
    """Open an index of the application by its name, with nothing in it."""

    def empty(schema: str) -> VespaIndex:
        index = VespaIndex(app, schema, dim=DIM)
        index.delete_where(All())
        return index

    return empty


class TestExact(IndexConformance):
    @pytest.fixture
    def index(self, emptied: Callable[[str], VespaIndex]) -> HybridIndex:
        return emptied("papers")


class TestBinary(IndexConformance):
    storage = FORMS["bits"]

    @pytest.fixture
    def index(self, emptied: Callable[[str], VespaIndex]) -> HybridIndex:
        return emptied("bits")
