"""`m3kit serve` as a process: what it prints, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from m3kit import MemoryIndex
from m3kit.cli.app import app
from m3kit.cli.exit_codes import Code
from m3kit.cli.opening import load_encoder
from m3kit.remote import RemoteEncoder


@contextmanager
def served(*arguments: str, **variables: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run `m3kit serve` on a free port; yield its URL and the process."""
    command = [sys.executable, "-m", "m3kit.cli", "serve", "--model", "tiny", "--port", "0"]
    environment = {**os.environ, **variables}
    with subprocess.Popen(
        [*command, *arguments], stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            event = json.loads(line)["event"]
            if "running on" in event:
                break
        try:
            yield event.split("running on ")[1].split()[0], process
        finally:
            if process.poll() is None:
                process.kill()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM")
def test_what_was_accepted_is_answered_before_it_ends() -> None:
    body = json.dumps({"texts": ["words of a text"] * 9, "reps": ["dense"]}).encode()
    shown = {"authorization": "Bearer key"}
    with served(M3KIT_API_KEY="key") as (url, process):
        assert process.stderr is not None
        with closing(HTTPConnection(url.removeprefix("http://"), timeout=60)) as connection:
            connection.putrequest("POST", "/encode")
            length = {"content-type": "application/json", "content-length": str(len(body))}
            for name, value in (shown | length).items():
                connection.putheader(name, value)
            connection.endheaders(body[:9])
            while "m3kit_requests_under_way 1.0" not in _metrics(url, shown):
                pass
            process.send_signal(signal.SIGTERM)
            while json.loads(process.stderr.readline())["event"] != "Shutting down":
                pass
            connection.send(body[9:])
            answer = connection.getresponse()
            assert (answer.status, len(json.load(answer)["data"])) == (200, 9)
        assert process.wait(30) == 0
        lines = [json.loads(line) for line in process.stderr.read().splitlines()]
        assert [line["status"] for line in lines if line.get("path") == "/encode"] == [200]
        assert "words" not in json.dumps(lines)


def _metrics(url: str, headers: dict[str, str]) -> str:
    return httpx.get(f"{url}/metrics", headers=headers).text


class TestCommands:
    def test_every_command_takes_a_url_as_its_model(self, url: str, tmp_path: Path) -> None:
        (tmp_path / "texts.jsonl").write_text('{"id": "a", "text": "a table"}\n', "utf-8")
        file, run = str(tmp_path / "texts.jsonl"), CliRunner()
        there, here = (
            run.invoke(app, ["encode", file, "--model", model]) for model in (url, "tiny")
        )
        assert there.exit_code == 0, there.output
        remote, local = json.loads(there.stdout), json.loads(here.stdout)
        assert remote["dense"] == pytest.approx(local["dense"], abs=1e-6)
        assert remote["sparse"] == pytest.approx(local["sparse"], abs=1e-6)

    def test_explain_reads_the_tokens_of_a_url(
        self, url: str, monkeypatch: pytest.MonkeyPatch, index: MemoryIndex
    ) -> None:
        monkeypatch.setattr("m3kit.cli.app.open_existing", lambda _: nullcontext(index))
        arguments = ["explain", "a table", "--id", "rows.en", "--in", "index", "--json"]
        there, here = (
            CliRunner().invoke(app, [*arguments, "--model", model]) for model in (url, "tiny")
        )
        assert there.exit_code == 0, there.output
        matches = [json.loads(result.stdout)["matches"] for result in (there, here)]
        assert [row["token"] for row in matches[0]] == [row["token"] for row in matches[1]]

    def test_the_key_is_read_from_the_environment(
        self, serve: Any, letters: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("M3KIT_API_KEY", "key")
        encoder = load_encoder(serve(letters, api_key="key"))
        assert isinstance(encoder, RemoteEncoder)
        assert encoder.model == "letters"

    @pytest.mark.parametrize(
        ("arguments", "code", "message"),
        [
            (["--model", "http://127.0.0.1:1", "--device", "cpu"], Code.MODEL, "leave --device"),
            (["--model", "tiny", "--in", "nowhere"], Code.INDEX, "no index at nowhere"),
            (["--model", "tiny", "--reranker", "tiny"], Code.MODEL, "no reranker"),
            (["--model", "tiny", "--port", "99999"], Code.USAGE, "--port"),
        ],
    )
    def test_what_is_wrong_is_one_line(
        self, arguments: list[str], code: Code, message: str
    ) -> None:
        result = CliRunner().invoke(app, ["serve", *arguments])
        assert (result.exit_code, message in result.output) == (code, True), result.output
