"""Empty indexes in Vespa for the frameworks' suites: a schema for each kind of their encoders."""

from __future__ import annotations

import atexit
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from tests.vespa_peer.peer import Peer, missing
from vespa.package import ApplicationPackage

from m3kit import All, Encoder, HybridIndex, open_index
from m3kit.testing import DIM
from m3kit_vespa import m3_package
from m3kit_vespa.field_types import FieldType

_TYPES: dict[str, FieldType] = {
    "even": bool, "lang": str, "n": float, "sizes": list[int], "tags": list[str], "third": bool,
    "title": str, "weight": float,
}  # fmt: skip
"""Fields of the frameworks' suites; the others are undeclared."""


def application() -> ApplicationPackage:
    """Make what a server must have deployed on which the suites are to run."""
    package = m3_package("dim6reps1", 6, field_types=_TYPES, reps=["dense"])
    m3_package(f"dim{DIM}reps2", DIM, field_types=_TYPES, reps=["dense", "sparse"], into=package)
    return m3_package(f"dim{DIM}reps3", DIM, field_types=_TYPES, into=package)


def on_a_server(address: str) -> Callable[[Path, Encoder], AbstractContextManager[HybridIndex]]:
    """Open the index for an encoder at `vespa://host:8080`, which has the application."""
    return lambda _, encoder: _emptied(address, encoder)


def on_the_peer(_: Path, encoder: Encoder) -> AbstractContextManager[HybridIndex]:
    """Open the index for an encoder on a peer that serves all tests of this process."""
    return _emptied(_peer(), encoder)


@contextmanager
def _emptied(address: str, encoder: Encoder) -> Iterator[HybridIndex]:
    schema = f"dim{encoder.dim}reps{len(encoder.reps)}"
    with open_index(f"{address}/{schema}", dim=encoder.dim, model=encoder.model) as index:
        index.delete_where(All())
        yield index


@cache
def _peer() -> str:
    if why := missing():
        pytest.skip(why)
    with ExitStack() as resources:
        folder = Path(resources.enter_context(TemporaryDirectory()))
        application().to_files(folder)
        peer = resources.enter_context(Peer(folder))
        atexit.register(resources.pop_all().close)
    return peer.url.replace("http", "vespa", 1)
