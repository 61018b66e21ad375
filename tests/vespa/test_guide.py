"""The guide's code runs, its package deployed on the peer, and its sizes are true."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks.stores_vespa import drawn, weights
from tests.shipped import WIDTH
from tests.vespa_peer.peer import Peer

from m3kit_vespa import m3_package

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "vespa.md"
SCHEMAS = ROOT / "docs" / "vespa-schemas.md"
EXAMPLES = ROOT / "examples"


def test_the_guides_sizes_are_those_measured() -> None:
    expected = " ".join(SCHEMAS.read_text(encoding="utf-8").split())
    sizes = {form: tuple(map(_kilobytes, of.values())) for form, of in weights([*drawn(3)]).items()}
    for form in ("bfloat16", "int8", "binary"):
        sent, stored = sizes[form]
        assert f"{sent} ({stored}) with {form}" in expected
    assert f"is {sizes['float32'][0]} KB on its way" in expected
    assert f"({sizes['float32'][1]} KB of it stored)" in expected
    assert f"as JSON numbers it is {sizes['bfloat16 as JSON numbers'][0]} KB" in expected


def _kilobytes(size: float) -> int:
    return round(size / 1000)


@pytest.mark.peer
def test_the_guides_code_runs(tmp_path: Path) -> None:
    page = PAGE.read_text(encoding="utf-8")
    package, search, by_hand = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    (document,) = re.findall(r"^```text\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    run(package, tmp_path)
    with Peer(tmp_path / "papers") as peer:
        assert "http://localhost:8080" in search
        encoder, _, _ = package.partition("package =")
        code = encoder + search.replace("http://localhost:8080", peer.url) + by_hand
        printed = run(code, tmp_path)
    hit, _, lines = printed.partition("\n")
    assert hit.endswith("Ein Bild in das Dokument einfügen")
    assert lines == document


@pytest.mark.peer
@pytest.mark.parametrize("name", ["15_langchain_vespa", "16_llama_index_vespa"])
def test_the_examples_print_what_they_promise(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    m3_package("papers", WIDTH, field_types={"lang": str, "year": int}).to_files(tmp_path)
    source = (EXAMPLES / f"{name}.py").read_text(encoding="utf-8")
    assert len(source.splitlines()) <= 40
    *_, expected = source.rstrip().split("\n\n")
    with Peer(tmp_path) as peer:
        monkeypatch.setenv("VESPA_URL", peer.url)
        printed = run(f"__file__ = {str(EXAMPLES / name)!r}\n{source}", tmp_path)
    assert printed.splitlines() == [line.removeprefix("# ") for line in expected.splitlines()]


def run(code: str, folder: Path) -> str:
    command = [sys.executable, "-X", "utf8", "-W", "error", "-c", code]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, encoding="utf-8", check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
