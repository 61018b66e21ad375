"""The short form of the harness: a few points on each engine, and that it sees what is wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.faults.engines import EMBEDDED
from tests.faults.harness import COUNTS
from tests.faults.job import compare, run_job, write_sources

from m3kit import Document, Record
from m3kit.testing import HashEncoder

ROOT = Path(__file__).parents[2]
POINTS = {"edge": 12, "local": 6, "lite": 8}


def encoded(document: Document) -> Record:
    return Record(document, *HashEncoder().encode_documents([document.text]))


def test_it_sees_what_is_lost_doubled_or_corrupted(tmp_path: Path) -> None:
    engine, (first, _) = EMBEDDED["edge"], write_sources(tmp_path / "sources")
    run_job(engine, tmp_path, first)
    assert compare(engine, tmp_path, first) == {"lost": [], "doubled": [], "corrupted": []}
    with engine.open(tmp_path) as index:
        (record,) = index.get(["row 0"])
        index.delete(["a.txt#1"])
        index.upsert([encoded(Document("a stranger", "dog"))])
        index.upsert([encoded(Document("row 0", "another text", record.document.metadata))])
    found = compare(engine, tmp_path, first)
    assert (found["lost"], found["doubled"]) == (["a.txt#1"], ["a stranger"])
    assert any("another text" in example for example in found["corrupted"])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="jobs are forked processes")
@pytest.mark.parametrize("engine", [*POINTS, pytest.param("tcp", marks=pytest.mark.slow, id="tcp")])
def test_a_job_that_is_killed_and_run_again_has_every_document_once(
    engine: str, tmp_path: Path
) -> None:
    table, points = tmp_path / "table.json", POINTS.get(engine, 20)
    command = ["-m", "tests.faults", "--points", str(points), "--engine", engine]
    done = subprocess.run(
        [sys.executable, *command, "--json", table],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    tallies = json.loads(table.read_text("utf-8"))
    assert sum(tally["points"] for tally in tallies) >= points // 2
    assert "a random time" in {tally["kind"] for tally in tallies}
    for tally in tallies:
        assert [tally[name] for name in COUNTS] == [0] * len(COUNTS), tally["examples"]
