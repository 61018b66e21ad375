"""`m3kit mcp` over standard streams and HTTP, with the SDK's own client; and who is refused."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from inspect import signature
from pathlib import Path
from typing import Literal

import httpx
import pytest
from mcp import Client, StdioServerParameters
from mcp.client import Transport
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client
from tests.server.conftest import DOCUMENTS, serving
from tests.server.mcp.conftest import answer_of
from typer.testing import CliRunner

from m3kit import Document, MemoryIndex, Retriever, open_index
from m3kit.cli.app import app
from m3kit.cli.exit_codes import Code
from m3kit.cli.help import MCP as HELP
from m3kit.server import Limits
from m3kit.server.mcp import create_mcp, create_mcp_app, serve_mcp_http
from m3kit.server.mcp.app import PATH
from m3kit.testing import ENCODER
from m3kit.torch import TorchEncoder

COMMAND = ["-m", "m3kit.cli", "mcp"]
MODES = ["auto", "legacy"]
LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
JSON = {"content-type": "application/json", "accept": "application/json, text/event-stream"}


@pytest.fixture(scope="module")
def folder(encoder: TorchEncoder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("mcp") / "papers"
    with open_index(path, encoder=encoder) as index:
        documents = [Document(id_, text, {"lang": id_[-2:]}) for id_, text in DOCUMENTS.items()]
        Retriever(encoder, index).add(documents)
    return path


@pytest.fixture(scope="module")
def url(papers: MemoryIndex) -> Iterator[str]:
    with serving(create_mcp_app(create_mcp(ENCODER, papers))) as address:
        yield f"{address}/mcp"


def started(folder: Path, *options: str) -> Transport:
    return stdio_client(
        StdioServerParameters(
            command=sys.executable,
            args=[*COMMAND, "--in", str(folder), *options],
            env=dict(os.environ),
        )
    )


async def test_an_agent_starts_the_server_and_what_it_writes_lasts(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    async with Client(started(folder, "--write"), mode="legacy") as client:
        documents = [{"id": "new", "text": "a new one"}]
        answer = answer_of(await client.call_tool("add", {"documents": documents}))
        assert answer == {"written": 1, "count": len(DOCUMENTS) + 1}
        answer_of(await client.call_tool("delete", {"ids": ["print.en"]}))
    async with Client(started(folder), mode="auto") as client:
        assert client.server_info is not None
        assert client.server_info.name == "m3kit"
        answer = answer_of(await client.call_tool("get", {"ids": ["new", "print.en"]}))
        assert [entry["id"] for entry in answer["documents"]] == ["new"]
        assert answer["unknown"] == ["print.en"]
        arguments = {"query": "rows of a table", "k": 2, "group_by": "lang"}
        answer = answer_of(await client.call_tool("search", arguments))
        assert answer["hits"][0]["id"] == "rows.en"
        explanation = await client.call_tool("explain", {"query": "rows", "id": "rows.en"})
        assert [match["token"] for match in answer_of(explanation)["matches"]] == ["▁rows"]
        assert (await client.call_tool("add", {"documents": documents})).is_error
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("mode", MODES)
async def test_agents_connect_to_a_url(url: str, mode: Literal["auto", "legacy"]) -> None:
    async with Client(url, mode=mode) as client:
        assert "search" in {tool.name for tool in (await client.list_tools()).tools}
        answer = answer_of(await client.call_tool("search", {"query": "the bear", "k": 1}))
        assert len(answer["hits"]) == 1
    async with Client(streamable_http_client(url), mode=mode) as first, Client(url) as second:
        for client in (first, second, first):
            assert answer_of(await client.call_tool("count", {}))["count"] == 12


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"host": "localhost:1234"}, 200),
        ({"origin": "http://localhost:6274"}, 200),
        ({"host": "evil.example"}, 421),
        ({"host": "evil.example:80"}, 421),
        ({"host": "localhost.evil.example"}, 421),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "http://localhost.evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"content-type": "text/plain"}, 415),
    ],
    ids=str,
)
def test_pages_of_other_sites_are_refused(url: str, headers: dict[str, str], status: int) -> None:
    response = httpx.post(url, json=LIST, headers={**JSON, **headers})
    assert response.status_code == status, response.text


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT"])
def test_there_are_no_streams_and_no_sessions(url: str, method: str) -> None:
    response = httpx.request(method, url, headers=JSON)
    assert (response.status_code, response.headers["allow"]) == (405, "POST")


def test_limits_and_keys_hold(papers: MemoryIndex) -> None:
    server = create_mcp(ENCODER, papers)
    application = create_mcp_app(server, api_key="key", limits=Limits(body_bytes=500), hosts=())
    with serving(application) as address:
        for shown, status in (("", 401), ("Bearer other", 401), ("Bearer key", 200)):
            headers = {**JSON, "authorization": shown, "host": "any.example"}
            response = httpx.post(f"{address}/mcp", json=LIST, headers=headers)
            assert response.status_code == status, response.text
        large = {**LIST, "params": {"cursor": "x" * 500}}
        assert httpx.post(f"{address}/mcp", json=large, headers=headers).status_code == 413
    with pytest.raises(ValueError, match="the api_key is empty"):
        create_mcp_app(server, api_key=" ")


@contextmanager
def served(*arguments: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run `m3kit mcp --http` on a free port; yield its URL and the process."""
    command = [sys.executable, *COMMAND, "--http", "--port", "0", *arguments]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        line = next(line for line in process.stderr if "running on" in line)
        try:
            yield json.loads(line)["event"].split("running on ")[1].split()[0], process
        finally:
            process.kill()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM")
async def test_a_signal_ends_the_server(folder: Path) -> None:
    with served("--in", str(folder)) as (url, process):
        assert url.startswith("http://127.0.0.1:")
        async with Client(f"{url}/mcp") as client:
            assert answer_of(await client.call_tool("count", {}))["count"] == len(DOCUMENTS)
        process.send_signal(signal.SIGTERM)
        _, rest = process.communicate(timeout=60)
        assert process.returncode == 0
        assert "Traceback" not in rest


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--in", "nowhere"], Code.INDEX, "there is no index at nowhere"),
        (["--max-tokens", "10", "--in", "nowhere"], Code.USAGE, "--max-tokens"),
        ([], Code.USAGE, "--in"),
    ],
)
def test_the_command_says_what_is_wrong(options: list[str], code: Code, message: str) -> None:
    result = CliRunner().invoke(app, ["mcp", *options])
    assert result.exit_code == code
    assert message in result.stderr


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("m3kit.server.mcp")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "mcp.server.mcpserver", None)
    result = CliRunner().invoke(app, ["mcp", "--in", "anywhere"])
    assert result.exit_code == Code.MODEL
    assert "pip install 'm3kit[mcp]'" in result.stderr


def test_the_configurations_of_the_guide_are_understood(folder: Path) -> None:
    guide = Path(__file__).parents[3] / "docs" / "mcp.md"
    blocks = re.findall(r"^```json\n(.*?)^```", guide.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    (started_by_client,), (over_http,) = (
        json.loads(block)["mcpServers"].values() for block in blocks
    )
    assert started_by_client["command"] == "m3kit"
    arguments = [str(folder / "no") if "/" in part else part for part in started_by_client["args"]]
    result = CliRunner().invoke(app, arguments)
    assert (result.exit_code, "there is no index" in result.stderr) == (Code.INDEX, True)
    parameters = signature(serve_mcp_http).parameters
    assert (
        over_http["url"]
        == f"http://{parameters['host'].default}:{parameters['port'].default}{PATH}"
    )
    assert blocks[0].strip() in HELP
