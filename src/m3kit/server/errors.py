"""What a client is told when a request fails: a status, a word for it and a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_TEI = {"/", "/embed", "/embed_sparse", "/rerank", "/tokenize"}
"""The paths whose errors have the form of text-embeddings-inference."""


class RequestError(Exception):
    """
    A request that is not answered.

    Args:
        status: The HTTP status.
        type_: A word for programs: `"overloaded"`.
        message: A sentence for people; it holds no text of a request, no path, no traceback.
        retry_after: After how many seconds the same request may succeed.
    """

    def __init__(
        self, status: int, type_: str, message: str, *, retry_after: int | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.type = type_
        self.message = message
        self.retry_after = retry_after

    @property
    def headers(self) -> dict[str, str]:
        """The headers of the answer."""
        headers: dict[str, str] = {}
        if self.retry_after is not None:
            headers["retry-after"] = str(self.retry_after)
        if self.status == 401:
            headers["www-authenticate"] = "Bearer"
        return headers

    def body(self, path: str) -> Mapping[str, Any]:
        """Return the answer in the form that the clients of a path read."""
        if path in _TEI:
            return {"error": self.message, "error_type": self.type}
        error = {"message": self.message, "type": self.type, "param": None, "code": self.status}
        return {"error": error}


def overloaded(retry_after: int, what: str) -> RequestError:
    """Return the error of a server that has no room for another request."""
    return RequestError(
        503, "overloaded", f"{what}; try again in {retry_after} s", retry_after=retry_after
    )


def invalid(message: str) -> RequestError:
    """Return the error of a request that says what cannot be done."""
    return RequestError(422, "validation", message)


def too_large(message: str) -> RequestError:
    """Return the error of a request beyond a limit."""
    return RequestError(413, "validation", message)


def unsupported(message: str) -> RequestError:
    """Return the error of a request for what this model or server does not have."""
    return RequestError(424, "backend", message)
