from __future__ import annotations

import pytest

from m3kit.adapters.addresses import ServerAddress

FORM = "host:6333/collection"


def parse(address: str) -> ServerAddress:
    return ServerAddress.parse(address, form=FORM, secret="THE_KEY", options=("grpc_port",))  # noqa: S106  # a variable's name


def test_an_address_has_a_host_a_collection_and_options() -> None:
    address = parse("db.example:6333/my%20papers?https=true&grpc_port=6334")
    assert (address.host, address.port, address.name) == ("db.example", 6333, "my papers")
    assert address.url == "https://db.example:6333"
    assert address.port_option("grpc_port") == 6334
    bare = parse("localhost/papers")
    assert (bare.url, bare.port, bare.port_option("grpc_port")) == ("http://localhost", None, None)
    assert parse("[::1]:6333/papers").url == "http://[::1]:6333"


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("", FORM),
        ("host", FORM),
        ("host/", FORM),
        ("/papers", FORM),
        (":6333/papers", FORM),
        ("host/a/b", FORM),
        ("host:0/papers", "from 1 to 65535"),
        ("host:65536/papers", "from 1 to 65535"),
        ("host:x/papers", "from 1 to 65535"),
        ("host/papers?https=yes", "https of 'host/papers' is true or false"),
        ("host/papers?nonsense=1", "no option 'nonsense'; valid are https, grpc_port"),
    ],
)
def test_what_is_malformed_is_refused(address: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse(address)


@pytest.mark.parametrize("port", ["x", "-1", "65536", "²"])
def test_a_port_option_is_a_port(port: str) -> None:
    with pytest.raises(ValueError, match="the option grpc_port of http://host is a port"):
        parse(f"host/papers?grpc_port={port}").port_option("grpc_port")


@pytest.mark.parametrize(
    "address",
    [
        "user:s3cret@host/papers",
        "host/papers?api_key=s3cret",
        "host/papers?token=s3cret",
        "host/papers?Password=s3cret",
        "host/a/b?api_key=s3cret",
        "host:0/papers?token=s3cret",
        "host/papers?nonsense=s3cret",
    ],
)
def test_a_secret_is_never_repeated(address: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        parse(address)
    assert "s3cret" not in f"{caught.value!r}"
