"""Addresses: the entry point `vespa` of the group `m3kit.indexes`."""

from __future__ import annotations

import os
from collections.abc import Collection
from contextlib import ExitStack
from pathlib import Path
from ssl import create_default_context
from urllib.error import HTTPError
from urllib.request import urlopen

from vespa.application import Vespa

from m3kit.adapters.addresses import ServerAddress
from m3kit.adapters.read_only import ReadOnlyIndex
from m3kit.index import OpenedIndex, RepresentationError
from m3kit.vectors import REPS, Rep
from m3kit_vespa.index import VespaIndex

_TOKEN = "VESPA_CLOUD_SECRET_TOKEN"  # noqa: S105  # the name of a variable

_READY_S = 3.0
"""How long a server may take to respond; pyvespa itself would try for 25 seconds."""


def open_server(
    address: str,
    /,
    *,
    dim: int | None,
    reps: Collection[Rep],
    model: str | None,
    read_only: bool = False,
) -> OpenedIndex:
    """
    Open an index in a deployed schema; see `m3kit.open_index`.

    The deployed package decides what it holds, so `reps` is ignored unless it holds none of them. A
    token of Vespa Cloud is taken from the environment variable `VESPA_CLOUD_SECRET_TOKEN`; a
    certificate and its key, from the files that `VESPA_CLIENT_CERT` and `VESPA_CLIENT_KEY` name.

    Args:
        address: `"host:8080/schema"`, with `?https=true` where needed.
        dim: As in `VespaIndex`.
        reps: What is wanted of it.
        model: As in `VespaIndex`.
        read_only: Whether writes are refused.

    Raises:
        ValueError: If the address is malformed.
        ConnectionError: If no server answers.
        RepresentationError, IndexNotFoundError, ModelMismatchError: As `VespaIndex` says, and if it
            holds none of `reps`.
    """
    server = ServerAddress.parse(address, form="host:8080/schema", secret=_TOKEN)
    cert, key = _file("VESPA_CLIENT_CERT"), _file("VESPA_CLIENT_KEY")
    _check_server(server.url, cert, key)
    token = os.environ.get(_TOKEN) or None
    app = Vespa(server.url, cert=cert, key=key, vespa_cloud_secret_token=token)
    index = VespaIndex(app, server.name, dim=dim, model=model)
    if reps and not index.reps & set(reps):
        index.close()
        raise RepresentationError(
            f"the schema {server.name!r} holds {_listed(index.reps)} and none of "
            f"{_listed(reps)}; deploy a package that does"
        )
    if read_only:
        with ExitStack() as resources:
            resources.callback(index.close)
            return ReadOnlyIndex(index, resources, f"vespa://{address}")
    return index


def _check_server(url: str, cert: str | None, key: str | None) -> None:
    """Check that a server responds, be it by a refusal."""
    context = create_default_context()
    if cert is not None:
        context.load_cert_chain(cert, key)
    try:
        with urlopen(f"{url}/ApplicationStatus", timeout=_READY_S, context=context):  # noqa: S310  # http or https, as was parsed
            return
    except HTTPError as error:
        error.close()
    except OSError as error:
        why = getattr(error, "reason", error)
        raise ConnectionError(
            f"no Vespa container answers at {url} ({why}); start it and deploy the package, or "
            "correct the address"
        ) from error


def _file(variable: str) -> str | None:
    """Return the file that an environment variable names."""
    name = os.environ.get(variable)
    if not name:
        return None
    if not Path(name).is_file():
        raise ValueError(
            f"the environment variable {variable} names {name!r}, which does not exist"
        )
    return name


def _listed(reps: Collection[Rep]) -> str:
    return ", ".join(rep for rep in REPS if rep in reps)
