"""What only a process of its own shows: signals, pipes, encodings, imports, full disks."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from m3kit import open_index
from m3kit.cli.app import app

M3KIT = [sys.executable, "-m", "m3kit_command"]
POSIX = pytest.mark.skipif(os.name != "posix", reason="signals, limits and devices of POSIX")


def run(
    *args: str, env: Mapping[str, str] | None = None, **options: Any
) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, **(env or {})}
    return subprocess.run(
        [*M3KIT, *args], capture_output=True, check=False, env=environment, timeout=60, **options
    )


def lines(count: int, text: str = "table") -> list[bytes]:
    """Documents of half a kilobyte or more."""
    return [
        json.dumps({"id": f"{n:05}", "text": text, "filler": "x" * 500}).encode() + b"\n"
        for n in range(count)
    ]


def test_help_imports_no_model_no_store_no_table_and_no_ledger() -> None:
    code = (
        "import sys\n"
        "from m3kit.cli.app import app\n"
        "app(['search', '--help'], standalone_mode=False)\n"
        "print(*sys.modules, file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert "--where" in done.stdout
    loaded = set(done.stderr.split())
    heavy = {"torch", "tokenizers", "qdrant_client", "qdrant_edge", "rich", "huggingface_hub"}
    assert not {*heavy, "sqlite3", "tenacity"} & loaded


def test_in_a_base_install_it_says_how_to_have_the_command_line() -> None:
    code = (
        "import sys\n"
        "class Base:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name in {'typer', 'rich', 'torch', 'qdrant_edge', 'qdrant_client'}:\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Base())\n"
        "from m3kit.cli import main\n"
        "sys.argv = ['m3kit', 'info']\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "error: the command line needs typer, which is not installed: pip install 'm3kit[cli]'\n"
    )


def test_a_search_imports_what_it_uses(sample: Path) -> None:
    code = (
        "import sys\n"
        "from m3kit.cli.app import app\n"
        "app(['search', 'table', '--in', sys.argv[1]], standalone_mode=False)\n"
        "print(*sys.modules, file=sys.stderr)\n"
    )
    command = [sys.executable, "-c", code, str(sample)]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    assert "rows.en" in done.stdout
    loaded = set(done.stderr.split())
    assert {"torch", "qdrant_edge"} <= loaded
    assert not {"qdrant_client", "huggingface_hub", "scipy", "rich.progress"} & loaded


@pytest.fixture
def heard() -> Iterator[None]:
    """Let a child hear Ctrl-C, though a shell may have started these tests deaf to it (`&`)."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@POSIX
@pytest.mark.usefixtures("heard")
def test_ctrl_c_keeps_what_was_written_and_a_second_run_completes() -> None:
    documents = lines(400)
    to = ("--to", "index", "--model", "tiny", "--reps", "sparse")
    process = subprocess.Popen(
        [*M3KIT, "index", "-", *to, "--batch", "8"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with process:
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write(b"".join(documents))  # more than a pipe holds: most of it was read
        process.stdin.flush()
        process.send_signal(signal.SIGINT)
        error = process.stderr.read().decode()
    assert process.returncode == 130
    assert error.startswith("error: stopped (")
    assert error.count("\n") == 1
    written = int(error.split("(")[1].split()[0])
    assert 0 < written < 400
    with open_index("index") as index:
        assert written <= index.count() < 400
    done = CliRunner().invoke(app, ["index", "-", *to], input=b"".join(documents))
    assert done.stdout == (
        f"wrote {400 - written} documents to index, which holds 400 now ({written} unchanged)\n"
    )


def on_a_small_disk(script: str, megabytes: int) -> subprocess.CompletedProcess[str]:
    """Run a shell script in a folder `disk` that is a file system of its own."""
    Path("disk").mkdir()
    mount = f"mount -t tmpfs -o size={megabytes}M none disk"
    command = ["unshare", "--map-root-user", "--mount", "sh", "-c"]
    try:
        subprocess.run([*command, mount], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs a user who may mount a file system")
    return subprocess.run(
        [*command, f"{mount}\n{script}"], capture_output=True, check=True, text=True, timeout=60
    )


def test_a_full_disk_is_one_line_and_the_index_stays_whole(tmp_path: Path) -> None:
    (tmp_path / "corpus.jsonl").write_bytes(b"".join(lines(200, "table " * 80)))
    m3kit = f"{sys.executable} -m m3kit.cli"
    done = on_a_small_disk(
        f"""
        {m3kit} index corpus.jsonl --to disk/index --model tiny --batch 16
        echo exit $?
        mount -o remount,size=500M none disk
        {m3kit} index corpus.jsonl --to disk/index --model tiny
        """,
        megabytes=48,
    )
    code, again = done.stdout.splitlines()
    assert code == "exit 1"
    assert done.stderr.startswith(f"error: {tmp_path}/disk/index: ")
    assert done.stderr.count("\n") == 1
    written = int(done.stderr.split("(")[1].split()[0])
    assert 0 < written < 200
    assert again == (
        f"wrote {200 - written} documents to disk/index, which holds 200 now ({written} unchanged)"
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_an_output_that_takes_nothing_is_one_line(sample: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*M3KIT, "list", "--in", str(sample)], stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert done.returncode == 1
    assert done.stderr == b"error: No space left on device\n"


@POSIX
def test_a_reader_that_has_gone_is_no_error() -> None:
    process = subprocess.Popen(
        [*M3KIT, "encode", "-", "--model", "tiny"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    _, error = process.communicate(b"".join(lines(50)))
    assert process.returncode == 141
    assert error == b""


def test_a_console_that_cannot_show_a_text_shows_the_rest(sample: Path) -> None:
    env = {"PYTHONIOENCODING": "cp1252", "PYTHONUTF8": "0"}
    shown = run("search", "表格", "--in", str(sample), "--where", "lang=zh", env=env)
    assert shown.returncode == 0, shown.stderr
    assert b"lang=zh" in shown.stdout
    assert b"?????" in shown.stdout


@pytest.mark.parametrize("charset", ["utf-8", "cp1252", "ascii"])
def test_json_is_whole_in_any_encoding(sample: Path, charset: str) -> None:
    args = ("search", "表格", "--in", str(sample), "--where", "lang=zh", "--json")
    result = CliRunner(charset=charset).invoke(app, args)
    (hit,) = json.loads(result.stdout_bytes.decode(charset))["hits"]
    with open_index(sample) as index:
        assert index.get([hit["id"]])[0].document.text == hit["text"]


def test_stdin_is_utf8_whatever_the_locale() -> None:
    args = ("encode", "-", "--format", "txt", "--model", "tiny", "--reps", "sparse")
    legacy, utf8 = (
        CliRunner(charset=charset).invoke(app, args, input="表".encode())
        for charset in ("cp1252", "utf-8")
    )
    assert legacy.exit_code == 0
    assert legacy.stdout == utf8.stdout


@POSIX
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("after_s", [0.15, 0.6])
def test_a_signal_in_the_first_second_is_one_line(
    number: signal.Signals, code: int, after_s: float
) -> None:
    process = subprocess.Popen(
        [*M3KIT, "index", "-", "--to", "index", "--model", "tiny"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with process:
        assert process.stderr is not None
        _wait_for_python(process.pid)
        time.sleep(after_s)
        process.send_signal(number)
        error = process.stderr.read().decode()
    assert process.returncode == code, error
    assert error.startswith("error: stopped (")
    assert error.count("\n") == 1


def _wait_for_python(pid: int) -> None:
    """Wait until the interpreter runs our code: before, no program can do anything."""
    while signal.SIGTERM not in _caught(pid):
        time.sleep(0.005)


def _caught(pid: int) -> set[int]:
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        pytest.skip("needs /proc to see when the interpreter has started")
    (mask,) = [line.split()[1] for line in status.read_text().splitlines() if "SigCgt" in line]
    return {number for number in range(1, 65) if int(mask, 16) >> (number - 1) & 1}


@POSIX
def test_sigterm_keeps_what_was_written_and_says_so() -> None:
    documents = lines(60)
    process = subprocess.Popen(
        [*M3KIT, "index", "-", "--to", "index", "--model", "tiny", "--batch", "8"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with process:
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write(b"".join(documents))
        process.stdin.flush()
        while not Path("index/m3kit.ledger").exists():
            time.sleep(0.05)
        time.sleep(1)
        process.send_signal(signal.SIGTERM)
        error = process.stderr.read().decode()
    assert (process.returncode, error.count("\n")) == (143, 1), error
    written = int(error.split("(")[1].split()[0])
    with open_index("index") as index:
        assert index.count() == written


def with_closed(streams: str, command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", "-c", f"exec {' '.join(M3KIT)} {command} {streams}"],
        capture_output=True,
        text=True,
        check=False,
    )


@POSIX
@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-"])
def test_a_closed_stream_is_no_error(sample: Path, closed: str) -> None:
    done = with_closed(closed, f"list --in {sample}")
    assert (done.returncode, done.stderr) == (0, "")


@POSIX
def test_an_index_is_made_without_any_stream(corpus_file: Path) -> None:
    done = with_closed("<&- >&- 2>&-", f"index {corpus_file} --to index --model tiny")
    assert (done.returncode, done.stderr) == (0, "")
    with open_index("index") as index:
        assert index.count() == 12


@POSIX
def test_a_server_that_is_not_there_is_one_line() -> None:
    pytest.importorskip("pymilvus")
    done = run("list", "--in", "milvus://127.0.0.1:9/papers")
    assert done.returncode == 4
    assert done.stderr.count(b"\n") == 1
    assert b"cannot connect to Milvus" in done.stderr
