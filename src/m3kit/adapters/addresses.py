"""Addresses of collections on servers: `host:port/collection?https=true`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self
from urllib.parse import parse_qsl, unquote, urlsplit

_SECRETS = ("key", "token", "password", "secret")


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """
    Where a collection is.

    Args:
        host: The server, without a port.
        port: Its port, where the address gives one.
        name: The collection, decoded: `%20` is a space.
        https: Whether the connection is encrypted.
        options: The other options of the address, by name.
    """

    host: str
    port: int | None
    name: str
    https: bool
    options: Mapping[str, str]

    @classmethod
    def parse(cls, address: str, /, *, form: str, secret: str, options: Sequence[str] = ()) -> Self:
        """
        Parse what follows `scheme://`.

        An address is printed, logged and kept in shell histories, so it holds no secret; an error
        never repeats more of it than its host and path.

        Args:
            address: Host, port, collection and options.
            form: What an address should look like, for errors: `"host:6333/collection"`.
            secret: The environment variable that holds the key or token.
            options: The names of the options that are known besides `https`.

        Raises:
            ValueError: If it is malformed, or holds a secret.
        """
        split = urlsplit(f"//{address}")
        if "@" in split.netloc:
            raise ValueError(f"an address holds no secret; set the environment variable {secret}")
        shown = split.netloc + split.path
        name = unquote(split.path.removeprefix("/"))
        if not split.hostname or not name or "/" in name:
            raise ValueError(f"{shown!r} is not an address of the form {form}")
        given = dict(parse_qsl(split.query, keep_blank_values=True))
        https = given.pop("https", "false")
        for option in given.keys() - set(options):
            if any(word in option.lower() for word in _SECRETS):
                raise ValueError(
                    f"an address holds no secret such as {option!r}; set the environment variable "
                    f"{secret}"
                )
            valid = ", ".join(["https", *options])
            raise ValueError(f"the address {shown!r} has no option {option!r}; valid are {valid}")
        if https not in {"true", "false"}:
            raise ValueError(f"the option https of {shown!r} is true or false")
        try:
            port = split.port
        except ValueError:  # urllib's, of a text or a number that is too large
            port = 0
        if port == 0:
            raise ValueError(f"{shown!r} has no valid port; give a number from 1 to 65535")
        return cls(split.hostname, port, name, https == "true", given)

    @property
    def url(self) -> str:
        """The server as a URL: `"http://localhost:6333"`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port is None else f":{self.port}"
        return f"{'https' if self.https else 'http'}://{host}{port}"

    def port_option(self, name: str) -> int | None:
        """
        Read an option that is a port; 0 is allowed, None means that it is not given.

        Raises:
            ValueError: If it is not a number from 0 to 65535.
        """
        value = self.options.get(name)
        if value is None:
            return None
        if not (value.isascii() and value.isdecimal() and int(value) <= 65535):
            raise ValueError(f"the option {name} of {self.url} is a port, from 0 to 65535")
        return int(value)
