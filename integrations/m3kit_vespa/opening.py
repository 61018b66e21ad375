"""Addresses: the entry point `vespa` of the group `m3kit.indexes`."""

from __future__ import annotations

import os
from collections.abc import Collection
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from ssl import create_default_context
from urllib.error import HTTPError
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit
from urllib.request import urlopen

from vespa.application import Vespa

from m3kit.index import OpenedIndex, RepresentationError
from m3kit.vectors import REPS, Rep
from m3kit_vespa.index import OpenedVespaIndex

_READY_S = 3.0
"""How long a server may take to say that it is there; pyvespa itself would try for 25 seconds."""


def open_server(
    address: str, /, *, dim: int | None, reps: Collection[Rep], model: str | None
) -> OpenedIndex:
    """
    Open an index in a deployed schema; see `m3kit.open_index`.

    What it holds is the deployed package's to say, so that `reps` is not heeded unless it holds
    none of them. A token of Vespa Cloud is taken from the environment variable
    `VESPA_CLOUD_SECRET_TOKEN`; a certificate and its key, from the files that
    `VESPA_CLIENT_CERT` and `VESPA_CLIENT_KEY` name.

    Args:
        address: `"host:8080/schema"`, and `?https=true` behind it.
        dim: As in `VespaIndex`.
        reps: What is wanted of it.
        model: As in `VespaIndex`.

    Raises:
        ValueError: If the address is another.
        ConnectionError: If nobody answers.
        RepresentationError, IndexNotFoundError, ModelMismatchError: As `VespaIndex` says, and if it holds none of
            `reps`.
    """
    place = _parsed(address)
    token = os.environ.get("VESPA_CLOUD_SECRET_TOKEN") or None
    cert, key = _file("VESPA_CLIENT_CERT"), _file("VESPA_CLIENT_KEY")
    _probe(place.url, cert, key)
    app = Vespa(place.url, cert=cert, key=key, vespa_cloud_secret_token=token)
    with ExitStack() as held:
        index = OpenedVespaIndex(app, place.schema, dim=dim, model=model).holding(held)
        if reps and not index.reps & set(reps):
            index.close()
            raise RepresentationError(
                f"the schema {place.schema!r} holds {_listed(index.reps)} and none of "
                f"{_listed(reps)}; deploy a package that does"
            )
        return index


def _probe(url: str, cert: str | None, key: str | None) -> None:
    """Ask whether a server is there; one that answers by a refusal is."""
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


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a schema is."""

    url: str
    schema: str


def _parsed(address: str) -> _Place:
    split = urlsplit(f"//{address}")
    schema = unquote(split.path.removeprefix("/"))
    options = dict(parse_qsl(split.query, keep_blank_values=True))
    https = options.pop("https", "false")
    if "@" in split.netloc:
        raise ValueError(
            "an address holds no token; set the environment variable VESPA_CLOUD_SECRET_TOKEN"
        )
    if not split.hostname or not schema or "/" in schema:
        raise ValueError(f"{address!r} does not say host:port/schema")
    if not _is_port(split):
        raise ValueError(f"{address!r} has a port that is none; give a number from 1 to 65535")
    if options or https not in {"true", "false"}:
        raise ValueError(f"{address!r} has other options than https=true")
    return _Place(f"{'https' if https == 'true' else 'http'}://{split.netloc}", schema)


def _is_port(split: SplitResult) -> bool:
    try:
        return split.port is None or 1 <= split.port <= 65535
    except ValueError:  # urllib's, of a text or a number that is too large
        return False


def _file(variable: str) -> str | None:
    """Return the file that an environment variable names."""
    name = os.environ.get(variable)
    if not name:
        return None
    if not Path(name).is_file():
        raise ValueError(f"the environment variable {variable} names {name!r}, and there is none")
    return name


def _listed(reps: Collection[Rep]) -> str:
    return ", ".join(rep for rep in REPS if rep in reps)
