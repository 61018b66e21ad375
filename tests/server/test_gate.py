"""Who may ask, how much, and what is said and written of it."""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from tests.server.conftest import Letters, Serve, serving

from m3kit.server import Limits, create_app
from m3kit.server.logs import JsonFormatter
from m3kit.torch import TorchEncoder

JSON = {"content-type": "application/json"}
OPEN = ["/health", "/ready"]
CLOSED = ["/info", "/metrics", "/openapi.json", "/v1/models", "/nowhere"]
KEY = "s3cret-ö"


@pytest.fixture(scope="module")
def guarded() -> Iterator[str]:
    with serving(create_app(Letters(), api_key=KEY)) as address:
        yield address


@pytest.fixture(scope="module")
def narrow() -> Iterator[str]:
    with serving(create_app(Letters(), limits=Limits(texts=3, characters=100))) as address:
        yield address


@pytest.mark.parametrize(
    ("shown", "status"),
    [
        ("Bearer s3cret-ö", 200),
        ("bearer s3cret-ö", 200),
        ("Bearer s3cret", 401),
        ("Bearer x", 401),
        ("Basic s3cret-ö", 401),
        ("s3cret-ö", 401),
        (None, 401),
    ],
)
def test_a_key_is_asked_for(guarded: str, shown: str | None, status: int) -> None:
    headers = [] if shown is None else [(b"authorization", shown.encode())]
    response = httpx.post(f"{guarded}/embed", json={"inputs": "a"}, headers=headers)
    assert response.status_code == status
    if status == 401:
        assert response.headers["www-authenticate"] == "Bearer"
        assert "s3cret" not in response.text


def test_only_the_probes_are_open(guarded: str) -> None:
    with httpx.Client(base_url=guarded) as client:
        assert [client.get(path).status_code for path in OPEN] == [200, 200]
        assert {client.get(path).status_code for path in CLOSED} == {401}
        client.headers = httpx.Headers({"authorization": f"Bearer {KEY}"}, encoding="utf-8")
        assert [client.get(path).status_code for path in CLOSED] == [200] * 4 + [404]


def test_an_empty_key_is_no_key(letters: Letters) -> None:
    with pytest.raises(ValueError, match="api_key is empty"):
        create_app(letters, api_key=" ")


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("127.0.0.1:80", 200),
        ("[::1]:8080", 200),
        ("evil.example", 421),
        ("evil.example:8080", 421),
        ("localhost.evil.example", 421),
    ],
)
def test_a_server_on_loopback_is_called_by_no_other_name(
    client: httpx.Client, host: str, status: int
) -> None:
    assert client.get("/health", headers={"host": host}).status_code == status


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_what_a_page_of_another_site_can_send_is_refused(client: httpx.Client, kind: str) -> None:
    body = json.dumps({"inputs": "a"}).encode()
    response = client.post("/embed", content=body, headers={"content-type": kind})
    assert response.status_code == 415


def test_no_page_of_another_site_may_read_an_answer(client: httpx.Client) -> None:
    headers = {"origin": "https://evil.example", "access-control-request-method": "POST"}
    preflight = client.options("/embed", headers=headers)
    answer = client.post("/embed", json={"inputs": "a"}, headers=headers)
    for response in (preflight, answer):
        assert not [name for name in response.headers if name.startswith("access-control")]
    assert preflight.status_code == 405


class TestLimits:
    def test_a_body_that_says_it_is_too_large_is_not_read(
        self, serve: Serve, letters: Letters
    ) -> None:
        address = serve(letters, limits=Limits(body_bytes=1000))
        host, port = address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=30) as connection:
            connection.sendall(
                b"POST /embed HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
                b"content-length: 1001\r\n\r\n"
            )
            assert connection.recv(4096).startswith(b"HTTP/1.1 413 ")

    def test_a_body_that_grows_too_large_is_refused(self, serve: Serve, letters: Letters) -> None:
        address = serve(letters, limits=Limits(body_bytes=1000))
        chunks = (b" " * 400 for _ in range(3))
        response = httpx.post(f"{address}/embed", content=chunks, headers=JSON)
        assert response.status_code == 413

    @pytest.mark.parametrize(
        ("path", "body"),
        [
            ("/encode", {"texts": ["a"] * 4}),
            ("/embed", {"inputs": ["a"] * 4}),
            ("/v1/embeddings", {"input": ["a"] * 4}),
            ("/pooling", {"data": {"input": ["a"] * 4, "embed_task": "dense"}}),
            ("/rerank", {"query": "a", "texts": ["a"] * 4}),
            ("/encode", {"texts": ["a" * 101]}),
            ("/embed", {"inputs": "a" * 101}),
            ("/rerank", {"query": "a" * 101, "texts": ["a"]}),
            ("/tokenize", {"inputs": "a" * 101}),
        ],
    )
    def test_too_many_and_too_long_texts(
        self, narrow: str, path: str, body: dict[str, Any]
    ) -> None:
        response = httpx.post(f"{narrow}{path}", json=body)
        assert response.status_code == 413, response.text

    def test_colbert_of_more_tokens_than_the_queue_has(
        self, serve: Serve, encoder: TorchEncoder
    ) -> None:
        address = serve(encoder, limits=Limits(queue_tokens=100))
        for reps, status in ((["dense"], 200), (["dense", "colbert"], 413)):
            body = {"texts": ["a table with rows"] * 40, "reps": reps}
            assert httpx.post(f"{address}/encode", json=body).status_code == status

    def test_a_limit_is_above_zero(self) -> None:
        with pytest.raises(ValueError, match="texts is above 0, not 0"):
            Limits(texts=0)


class TestErrors:
    @pytest.mark.parametrize(
        "content", [b"", b"{", b"[]", b"null", b"\xff", b'{"input": 1}', b"[" * 5000]
    )
    @pytest.mark.parametrize("path", ["/encode", "/embed", "/v1/embeddings", "/pooling"])
    def test_no_body_makes_an_internal_error(
        self, client: httpx.Client, path: str, content: bytes
    ) -> None:
        response = client.post(path, content=content, headers=JSON)
        assert response.status_code in {400, 413, 422}, response.text

    def test_a_lone_surrogate_counts_as_a_replacement_character(self, client: httpx.Client) -> None:
        def answer(path: str, body: bytes) -> httpx.Response:
            return client.post(path, content=body, headers=JSON)

        assert (
            answer("/embed", b'{"inputs": "\\ud800"}').json()
            == answer("/embed", b'{"inputs": "\\ufffd"}').json()
        )
        body = b'{"query": "\\ud800", "texts": ["\\udfff"], "return_text": true}'
        assert answer("/rerank", body).status_code == 200

    def test_nothing_of_the_inside_is_said(
        self, serve: Serve, letters: Letters, caplog: pytest.LogCaptureFixture
    ) -> None:
        response = httpx.post(f"{serve(letters)}/embed", json={"inputs": "poison"})
        assert response.status_code == 500
        for inside in ("secret", "Traceback", ".py", "RuntimeError", "poison", "/"):
            assert inside not in response.text
        lines = [JsonFormatter().format(record) for record in caplog.records]
        assert "secret" not in "".join(lines)
        assert "RuntimeError" in "".join(lines)

    def test_each_api_has_its_own_form(self, client: httpx.Client) -> None:
        tei = client.post("/embed", json={}).json()
        openai = client.post("/v1/embeddings", json={}).json()
        assert tei == {"error": "inputs: Field required", "error_type": "validation"}
        assert openai["error"]["message"] == "input: Field required"
        assert set(openai["error"]) == {"message", "type", "param", "code"}

    def test_an_unknown_path_and_a_wrong_method(self, client: httpx.Client) -> None:
        assert client.get("/nowhere").status_code == 404
        assert client.get("/encode").status_code == 405


class TestWhatIsWritten:
    def test_a_line_for_each_request_and_no_text_in_it(
        self, client: httpx.Client, caplog: pytest.LogCaptureFixture
    ) -> None:
        text = "the name of the patient"
        caplog.set_level(logging.INFO, "m3kit")
        response = client.post("/encode", json={"texts": [text], "reps": ["dense"]})
        client.post("/encode", json={"texts": [text], "reps": [text]})
        client.post("/rerank", json={"query": text, "texts": [text]})
        client.get(f"/{text}")
        lines = [json.loads(JsonFormatter().format(record)) for record in caplog.records]
        assert "patient" not in json.dumps(lines)
        (line,) = [one for one in lines if one.get("id") == response.headers["x-request-id"]]
        assert (line["event"], line["path"], line["status"]) == ("request", "/encode", 200)
        assert (line["texts"], line["tokens"], line["truncated"]) == (1, 10, 0)

    def test_metrics_are_counted(self, serve: Serve, of_128: TorchEncoder) -> None:
        with httpx.Client(base_url=serve(of_128)) as client:
            client.post("/embed", json={"inputs": ["a table", "a table"]})
            client.post("/embed", json={"inputs": ["table " * 129]})
            client.get("/somewhere")
            text = client.get("/metrics").text
        for line in (
            'm3kit_requests_total{path="/embed",status="200"} 2.0',
            'm3kit_requests_total{path="other",status="404"} 1.0',
            'm3kit_texts_total{kind="document"} 3.0',
            "m3kit_truncated_texts_total 1.0",
            "m3kit_queue_tokens 0.0",
        ):
            assert line in text.splitlines()


def test_openapi_describes_every_endpoint(client: httpx.Client) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    assert set(paths) == {
        "/", "/embed", "/embed_sparse", "/encode", "/explain", "/health", "/info", "/metrics",
        "/pooling", "/ready", "/rerank", "/score", "/search", "/tokenize", "/v1/embeddings",
        "/v1/models",
    }  # fmt: skip
    for methods in paths.values():
        for operation in methods.values():
            assert operation["description"]
