"""Vespa's own Java code, to validate application packages and to serve them from memory."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from http.client import HTTPException
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep
from types import TracebackType
from typing import Literal, Self
from urllib.request import urlopen

from filelock import FileLock

HERE = Path(__file__).parent
TARGET = HERE / "target"
JAVA = 17
PORTS = range(21000, 31000, 8)  # below those that a system gives to outgoing connections

_BUILD_S = 600
_VALIDATE_S = 300
_START_S = 180
_STOP_S = 20
_MAIN = "m3kit.peer.Main"
# The first compiler alone starts faster, and a test asks too little to gain from the second.
_OPTIONS = ["-Xmx1g", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData"]

Verdict = Literal["OK", "UNSURE", "INVALID"]


class PeerError(Exception):
    """The peer could not be built or started; says what failed, and where its log is."""


@dataclass(frozen=True)
class Report:
    """
    What deployment says of an application package.

    Attributes:
        package: Its directory.
        verdict: INVALID where Vespa refuses it, UNSURE where there are warnings, or names in rank
            profiles that the peer does not know.
        messages: The reasons; none if the verdict is OK.
    """

    package: Path
    verdict: Verdict
    messages: tuple[str, ...]


@cache
def missing() -> str | None:
    """Why the peer cannot run on this machine, or None."""
    if shutil.which("mvn") is None:
        return f"needs Maven and Java {JAVA}: no `mvn` on the path"
    try:
        answer = subprocess.run(
            [_java(), "-version"], capture_output=True, text=True, check=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError) as error:
        return f"needs Java {JAVA}: {error}"
    version = re.search(r'version "(\d+)', answer.stderr)
    if version is None or int(version[1]) < JAVA:
        return f"needs Java {JAVA} or later: `java -version` says {answer.stderr.splitlines()[:1]}"
    return None


def build() -> Path:
    """
    The peer's jar, made by Maven unless there is one of these very sources.

    Raises:
        PeerError: With the end of Maven's output, which names a download that failed.
    """
    jar = TARGET / f"peer-{_digest()}.jar"
    TARGET.mkdir(exist_ok=True)
    with FileLock(TARGET / "build.lock"):
        if not jar.exists():
            _maven()
            (TARGET / "vespa-peer.jar").replace(jar)
    return jar


def validate(*packages: Path) -> list[Report]:
    """
    Say what deployment says of each package.

    All in one Java process, which takes seconds to start and less than one for each package.

    Raises:
        PeerError: If the process itself fails.
    """
    command = [*_command(), "validate", *(str(package) for package in packages)]
    done = subprocess.run(
        command, capture_output=True, text=True, encoding="utf-8", check=False, timeout=_VALIDATE_S
    )
    if done.returncode:
        raise PeerError(f"The peer cannot validate:\n{done.stderr[-4000:]}")
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    return [
        Report(package, answer["verdict"], tuple(answer["messages"]))
        for package, answer in zip(packages, answers, strict=True)
    ]


class Peer:
    """
    A Vespa that serves an application package from memory, for as long as the `with` block lasts.

    Args:
        package: The directory of the application package.

    Attributes:
        url: Where it listens; content clusters listen at the following ports.
        log: What it prints. The file is kept if the block is left by an exception.
    """

    def __init__(self, package: Path) -> None:
        self.package = package
        self.url = ""
        self.log = Path()

    def __enter__(self) -> Self:
        command = _command()
        (TARGET / "logs").mkdir(exist_ok=True)
        for port in _free_ports():
            self.url = f"http://localhost:{port}"
            self.log = TARGET / "logs" / f"{os.getpid()}-{port}.log"
            self._files = TemporaryDirectory(prefix="vespa-peer-")
            self._process = self._started(command, port)
            try:
                ready = self._ready()
            except BaseException:
                self._stop()
                raise
            if ready:
                return self
            log = self.log.read_text(encoding="utf-8", errors="replace")
            self._stop()
            if "java.net.BindException" not in log:  # another process was faster: the next port
                raise PeerError(f"The peer does not start, see {self.log}:\n{log[-4000:]}")
            self.log.unlink()
        raise PeerError(f"No free ports between {PORTS.start} and {PORTS.stop}")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()
        if kind is None:
            self.log.unlink()

    @property
    def pid(self) -> int:
        """The process that listens."""
        return self._process.pid

    def _started(self, command: list[str], port: int) -> subprocess.Popen[bytes]:
        folder = f"-Djava.io.tmpdir={self._files.name}"
        serve = [
            command[0],
            folder,
            *command[1:],
            "serve",
            str(self.package.resolve()),
            str(port),
            self._files.name,
        ]
        with self.log.open("wb") as log:
            return subprocess.Popen(
                serve, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self._files.name
            )

    def _ready(self) -> bool:
        until = monotonic() + _START_S
        while monotonic() < until and self._process.poll() is None:
            try:
                with urlopen(f"{self.url}/ApplicationStatus", timeout=1) as answer:  # noqa: S310  # our own address
                    return bool(answer.status == 200)
            except (OSError, HTTPException):
                sleep(0.05)
        return False

    def _stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._files.cleanup()


def _command() -> list[str]:
    jar = build()
    path = os.pathsep.join([str(jar), str(TARGET / "lib" / "*")])
    return [_java(), *_OPTIONS, "-cp", path, _MAIN]


def _java() -> str:
    home = os.environ.get("JAVA_HOME")
    return str(Path(home, "bin", "java")) if home else "java"


def _digest() -> str:
    """A fingerprint of all that the build reads from this folder."""
    digest = sha256()
    for file in [HERE / "pom.xml", *sorted((HERE / "src").rglob("*.java"))]:
        digest.update(
            file.relative_to(HERE).as_posix().encode() + b"\0" + file.read_bytes() + b"\0"
        )
    return digest.hexdigest()[:16]


def _maven() -> None:
    mvn = shutil.which("mvn")
    if mvn is None:
        raise PeerError("Maven is missing: no `mvn` on the path")
    shutil.rmtree(TARGET / "classes", ignore_errors=True)  # none of a source that is gone
    done = subprocess.run(
        [mvn, "-B", "-q", "package"],
        cwd=HERE, capture_output=True, text=True, check=False, timeout=_BUILD_S,
    )  # fmt: skip
    if done.returncode:
        raise PeerError(f"`mvn package` fails in {HERE}:\n{(done.stdout + done.stderr)[-4000:]}")


def _free_ports() -> Iterator[int]:
    """Ports that are free, as are those that follow, in an order that differs between processes."""
    turn = os.getpid() * 37 % len(PORTS)
    for port in [*PORTS[turn:], *PORTS[:turn]]:
        if all(_free(number) for number in range(port, port + PORTS.step)):
            yield port


def _free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True
