from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic, sleep
from urllib.parse import urlsplit

import pytest
from tests.vespa_peer import peer
from tests.vespa_peer.client import Client
from tests.vespa_peer.peer import Peer, PeerError, build, missing

pytestmark = pytest.mark.peer


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_two_run_side_by_side_and_leave_nothing(package: Path, served: Client) -> None:
    with Peer(package) as peer:
        port = urlsplit(peer.url).port or 0
        assert listens(port)
        assert listens(port + 1)
        client = Client(peer.url)
        client.put("mine", {"id": "mine"})
        assert (client.ids("true"), served.ids('id contains "mine"')) == (["mine"], [])
        files = Path(peer._files.name)
        assert [*files.iterdir()]
    assert not any(listens(port + step) for step in range(8))
    assert not runs(peer.pid)
    assert not peer.log.exists()
    assert not files.exists()


def test_it_ends_with_the_process_that_started_it(package: Path) -> None:
    script = (
        "import os, sys; from pathlib import Path; from tests.vespa_peer.peer import Peer;"
        "peer = Peer(Path(sys.argv[1])); peer.__enter__();"
        "print(peer.url, peer.log, peer._files.name, flush=True); os._exit(1)"
    )
    root = Path(peer.__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", script, str(package)],
        cwd=root, env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    url, log, files = done.stdout.split()
    port = urlsplit(url).port or 0
    until = monotonic() + 30
    while listens(port) and monotonic() < until:
        sleep(0.05)
    assert not listens(port)
    assert not Path(files).exists()
    Path(log).unlink()


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        ("container", "vessel", "services.xml has no container"),
        ('type="paper"', 'type="paper" selection="paper.year &gt; 0"', "keeps all documents"),
        ('mode="index"', 'mode="streaming"', "are streamed"),
        ("<redundancy>1</redundancy>", "<redundancy>no</redundancy>", "redundancy"),
    ],
)
def test_a_log_is_kept_where_something_fails(
    package: Path, tmp_path: Path, right: str, wrong: str, message: str
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(package, broken)
    services = broken / "services.xml"
    services.write_text(services.read_text().replace(right, wrong))
    with pytest.raises(PeerError, match="does not start") as caught:
        Peer(broken).__enter__()
    [log] = [Path(word.rstrip(":")) for word in str(caught.value).split() if ".log" in word]
    assert message in log.read_text()
    log.unlink()


def test_a_build_is_made_once(package: Path) -> None:
    assert package.exists()
    with ThreadPoolExecutor(2) as pool:
        jars = [*pool.map(lambda _: build(), range(2))]
    assert jars[0] == jars[1]
    assert jars[0].stat().st_mtime == build().stat().st_mtime


def test_a_build_that_fails_says_why(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "peer"
    shutil.copytree(package.parent / "src", copy / "src")
    pom = (package.parent / "pom.xml").read_text()
    (copy / ".mvn").mkdir()
    (copy / ".mvn/maven.config").write_text("--offline")
    (copy / "pom.xml").write_text(pom.replace("<version>1.8</version>", "<version>no</version>"))
    monkeypatch.setattr(peer, "HERE", copy)
    monkeypatch.setattr(peer, "TARGET", copy / "target")
    with pytest.raises(PeerError, match=r"re2j:jar:no"):
        build()


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    assert missing.__wrapped__() == "needs Maven and Java 17: no `mvn` on the path"
    (tmp_path / "mvn").touch(mode=0o755)
    assert str(missing.__wrapped__()).startswith("needs Java 17: ")
    java = tmp_path / "java"
    java.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\" 2019-01-15' >&2\n")
    java.chmod(0o755)
    assert "11.0.2" in str(missing.__wrapped__())
    java.write_text("#!/bin/sh\necho 'openjdk version \"21\" 2023-09-19' >&2\n")
    assert missing.__wrapped__() is None
