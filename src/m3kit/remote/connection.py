"""Requests to one server: connections that are kept, and retries."""

from __future__ import annotations

import os
from collections.abc import Mapping
from threading import Lock
from typing import Any, TypeAlias
from weakref import finalize

import httpx
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    wait_random_exponential,
)

from m3kit.remote.errors import RemoteError, TooLargeError

_BUSY = {429, 502, 503}
"""What a server says that may take the same request later."""

_BROKEN = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.ReadError,
    httpx.WriteError,
    httpx.RemoteProtocolError,
    httpx.PoolTimeout,
)
"""How a connection breaks. An encoder may be asked twice: it changes nothing."""

_LONGEST_WAIT = 60.0
"""Seconds before a retry, whatever a server asks for."""


class _BusyError(RemoteError):
    """A server that has no room."""

    def __init__(self, message: str, seconds: float) -> None:
        super().__init__(message)
        self.seconds = seconds


_Clients: TypeAlias = dict[int, httpx.Client]
"""By process: a fork does not share its parent's sockets."""


class Connection:
    """
    HTTP to a server, for any number of threads and processes.

    Args:
        url: Of the server: `"http://127.0.0.1:8080"`.
        api_key: Is shown as `Authorization: Bearer`.
        timeout: Seconds for an answer.
        attempts: How many times a request is sent at most, while the server is full or the
            connection breaks; in between twice as long is waited each time, or as long as the
            server asks.
        connections: How many are open at once.

    Raises:
        RemoteError: If the URL is none of a server, or holds a secret.
    """

    def __init__(
        self, url: str, *, api_key: str | None, timeout: float, attempts: int, connections: int
    ) -> None:
        self.url = _without_secrets(url).rstrip("/")
        self._api_key = api_key
        self._timeout = timeout
        self._attempts = attempts
        self._connections = connections
        self._lock = Lock()
        self._clients: _Clients = {}
        finalize(self, _close, self._clients)

    def get(self, path: str) -> Any:
        """
        Return the JSON at a path; None where there is no such path.

        Raises:
            RemoteError: If there is no answer.
        """
        try:
            return self._answer("GET", path, None, "application/json").json()
        except (_AbsentError, ValueError):
            return None

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """
        Return the JSON that answers a request; None where there is no such path.

        Raises:
            RemoteError: If there is no answer, or the server refuses the request.
        """
        try:
            return self._answer("POST", path, body, "application/json").json()
        except _AbsentError:
            return None

    def post_for_bytes(self, path: str, body: Mapping[str, Any], accept: str) -> bytes:
        """
        Return the bytes that answer a request.

        Raises:
            RemoteError: If there is no answer, or the server refuses the request.
        """
        return self._answer("POST", path, body, accept).content

    def close(self) -> None:
        """Close what is open in this process; the next request opens it again."""
        with self._lock:
            _close(self._clients)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what cannot travel."""
        return {**self.__dict__, "_lock": None, "_clients": {}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ |= {**state, "_lock": Lock()}
        finalize(self, _close, self._clients)

    def _answer(
        self, method: str, path: str, body: Mapping[str, Any] | None, accept: str
    ) -> httpx.Response:
        retrying = Retrying(
            stop=stop_after_attempt(self._attempts),
            wait=_wait,
            retry=retry_if_exception_type((_BusyError, *_BROKEN)),
            reraise=True,
        )
        try:
            return retrying(self._once, method, path, body, accept)
        except httpx.HTTPError as error:
            what = type(error).__name__
            raise RemoteError(f"no answer from {self.url}{path}: {what}: {error}") from error

    def _once(
        self, method: str, path: str, body: Mapping[str, Any] | None, accept: str
    ) -> httpx.Response:
        response = self._client().request(
            method, f"{self.url}{path}", json=body, headers={"accept": accept}
        )
        if response.is_success:
            return response
        message = f"{self.url}{path} answered {response.status_code}: {_reason(response)}"
        match response.status_code:
            case 401 | 403:
                raise RemoteError(f"{message}; pass api_key=")
            case 404 | 405:
                raise _AbsentError(message)
            case 413:
                raise TooLargeError(message)
            case status if status in _BUSY:
                raise _BusyError(message, _seconds(response))
            case _:
                raise RemoteError(message)

    def _client(self) -> httpx.Client:
        with self._lock:
            pid = os.getpid()
            if pid not in self._clients:
                key = self._api_key
                self._clients[pid] = httpx.Client(
                    timeout=httpx.Timeout(self._timeout, connect=10.0),
                    limits=httpx.Limits(max_connections=self._connections),
                    headers={} if key is None else {"authorization": f"Bearer {key}"},
                )
            return self._clients[pid]


class _AbsentError(RemoteError):
    """A path that a server does not know."""


def _without_secrets(url: str) -> str:
    """Check that a URL, which is printed and logged, is that of a server and no more."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise RemoteError(f"{url} is no URL of a server: {error}") from error
    if parsed.userinfo or parsed.query or parsed.fragment:
        raise RemoteError(
            f"the URL of {parsed.host} has more than a server's name and a path; pass api_key= for "
            "what it wants to be shown"
        )
    return url


def _close(clients: _Clients) -> None:
    client = clients.pop(os.getpid(), None)
    if client is not None:
        client.close()


_backoff = wait_random_exponential(multiplier=0.25, max=10)


def _wait(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    retry_after = error.seconds if isinstance(error, _BusyError) else 0.0
    return retry_after + _backoff(state)


def _seconds(response: httpx.Response) -> float:
    try:
        return min(_LONGEST_WAIT, max(0.0, float(response.headers.get("retry-after", "0"))))
    except ValueError:  # a date
        return 1.0


def _reason(response: httpx.Response) -> str:
    """Return what the body of an error says, in any of the servers' forms."""
    try:
        body = response.json()
    except ValueError:
        return response.reason_phrase
    if isinstance(body, dict):
        body = body.get("error") or body.get("message") or body.get("detail") or body
    if isinstance(body, dict):
        body = body.get("message", body)
    return str(body)[:500]
