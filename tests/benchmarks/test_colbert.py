"""The sizes and the ranking that `docs/colbert.md` shows are what there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from benchmarks.colbert import STORAGES, ndcg, passage_bytes
from benchmarks.sample_corpus import collection, passages

from m3kit import CachedEncoder, ColbertStorage
from m3kit.torch import TorchEncoder

PAGE = (Path(__file__).parents[2] / "docs" / "colbert.md").read_text(encoding="utf-8")


def said() -> dict[tuple[str, str], list[float]]:
    """Read the table: the figures of each type and factor."""
    rows = re.findall(r"^\| (\w+) \| (\d) \| (.*) \|$", PAGE, re.MULTILINE)
    return {
        (dtype, pool): [float(cell.replace(",", "")) for cell in cells.split(" | ")]
        for dtype, pool, cells in rows
    }


@pytest.fixture(scope="module")
def encoder() -> CachedEncoder:
    return CachedEncoder(TorchEncoder.from_pretrained("tiny"))


def test_the_page_has_the_bytes_of_every_storage(encoder: CachedEncoder) -> None:
    english, table = passages("en"), said()
    assert list(table) == [(one.dtype, str(one.pool_factor)) for one in STORAGES]
    for storage, figures in zip(STORAGES, table.values(), strict=True):
        sizes = [passage_bytes(encoder, english, storage), storage.nbytes(300, 1024)]
        assert sizes == pytest.approx(figures[:2], abs=1)


def test_what_the_page_recommends_ranks_as_it_says(encoder: CachedEncoder) -> None:
    dataset = collection(languages=["en"])
    ((found, _),) = ndcg(encoder, dataset, ColbertStorage("int8"), ["rrf-all"])
    assert found == pytest.approx(said()["int8", "1"][4], abs=0.005)
    assert found == pytest.approx(said()["float32", "1"][4], abs=0.005)


def test_the_pages_code_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(code, "docs/colbert.md", "exec"), {})  # noqa: S102  # the page's own example
    assert capsys.readouterr().out.split() == re.findall(r"# (\w+)$", code, re.MULTILINE)
