"""
Other releases of Milvus's packages, each in an environment of its own: `pytest -m slow`.

An environment is made once, in pytest's cache, and needs a package registry for that.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMMON = ("numpy", "scipy", "pytest", "pytest-asyncio", "hypothesis")
MINUTES_20 = 1200

CONFORMANCE = "tests/conformance/test_milvus.py"
OURS_ALONE = (CONFORMANCE, "-k", "not Theirs")
"""The core in C++ takes no quote in a key, and m3kit has no influence on the keys of others."""


@dataclass(frozen=True)
class Environment:
    packages: tuple[str, ...]
    tests: tuple[str, ...]


ENVIRONMENTS = {
    "pymilvus 2.6, and what LlamaIndex's store makes with it": Environment(
        ("pymilvus==2.6.17", "milvus-lite==3.2.2", "llama-index-vector-stores-milvus==1.2.0"),
        (CONFORMANCE, "tests/milvus/test_llama_index.py", "tests/milvus/test_layout.py"),
    ),
    "pymilvus 3.0 over Milvus Lite's core in C++": Environment(
        ("pymilvus==3.0.2", "milvus-lite==2.5.1", "setuptools<82"),
        OURS_ALONE,
    ),
    "pymilvus 2.6 over Milvus Lite's core in C++": Environment(
        ("pymilvus==2.6.17", "milvus-lite==2.5.1", "setuptools<82"),
        OURS_ALONE,
    ),
}


def _python(folder: Path, packages: tuple[str, ...]) -> Path:
    """Make an environment with these packages, if it was not made before."""
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    made = folder / "made"
    if not made.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        install = [str(python), "-m", "pip", "install", "-q", *COMMON, *packages]
        subprocess.run(install, check=True, timeout=MINUTES_20)
        made.touch()
    return python


@pytest.mark.slow
@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_another_release_passes_the_same_tests(
    environment: str, request: pytest.FixtureRequest
) -> None:
    assert request.config.cache is not None
    chosen = ENVIRONMENTS[environment]
    name = "-".join(chosen.packages[:2]).replace("==", "_")
    python = _python(request.config.cache.mkdir("environments") / name, chosen.packages)
    paths = os.pathsep.join(str(ROOT / room) for room in ("src", "integrations"))
    done = subprocess.run(
        [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", *chosen.tests],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=MINUTES_20,
    )
    assert done.returncode == 0, done.stdout[-10_000:]
    assert " passed" in done.stdout
