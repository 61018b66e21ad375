"""What a server did not do."""

from __future__ import annotations

from m3kit.index import M3Error


class RemoteError(M3Error, ConnectionError):
    """A server that cannot be reached, or that refused a request; the text says what it said."""


class TooLargeError(RemoteError):
    """A request that the server takes in parts."""
