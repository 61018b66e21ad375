"""
Other releases of Milvus's packages, each in an environment of its own: `pytest -m slow`.

An environment is made once, in pytest's cache, from its lock under `requirements/`, and needs a
package registry for that.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MINUTES_20 = 1200

CONFORMANCE = "tests/conformance/test_milvus.py"
OURS_ALONE = (CONFORMANCE, "-k", "not Theirs", "-W", "ignore:pkg_resources is deprecated")
"""
The core in C++ takes no quote in a key, and m3kit has no influence on the keys of others. Its
package imports pkg_resources, of which setuptools warns.
"""


@dataclass(frozen=True)
class Environment:
    lock: str
    tests: tuple[str, ...]


ENVIRONMENTS = {
    "pymilvus 2.6, and what LlamaIndex's store makes with it": Environment(
        "pymilvus-2",
        (CONFORMANCE, "tests/milvus/test_llama_index.py", "tests/milvus/test_layout.py"),
    ),
    "pymilvus 3.0 over Milvus Lite's core in C++": Environment(
        "milvus-lite-2",
        OURS_ALONE,
    ),
    "pymilvus 2.6 over Milvus Lite's core in C++": Environment(
        "pymilvus-2-milvus-lite-2",
        OURS_ALONE,
    ),
}


def _python(name: str, cache: pytest.Cache) -> Path:
    """Make an environment from its lock, if it was not made from this very one before."""
    lock = ROOT / "requirements" / f"{name}.txt"
    digest = sha256(lock.read_bytes()).hexdigest()[:12]
    folder = cache.mkdir("environments") / f"{name}-{digest}"
    made = folder / "made"
    if not made.exists():
        install = [sys.executable, str(ROOT / "requirements" / "install.py"), name, str(folder)]
        subprocess.run(install, check=True, timeout=MINUTES_20)
        made.touch()
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


@pytest.mark.slow
@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_another_release_passes_the_same_tests(
    environment: str, request: pytest.FixtureRequest
) -> None:
    assert request.config.cache is not None
    chosen = ENVIRONMENTS[environment]
    python = _python(chosen.lock, request.config.cache)
    done = subprocess.run(
        [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", *chosen.tests],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=MINUTES_20,
    )
    assert done.returncode == 0, done.stdout[-10_000:]
    assert " passed" in done.stdout
