"""Every page's code runs, from top to bottom, in an empty folder."""

from __future__ import annotations

import re
from pathlib import Path
from runpy import run_path

import pytest

PAGES = sorted((Path(__file__).parents[2] / "docs").glob("*.md"))
OF_THE_PEER = {"vespa"}
"""Pages whose code needs more, and is run where that is (tests/vespa)."""

OF_TRAINING = {"mine", "train", "pretrain"}
"""Pages whose code imports what the environment of the oldest dependencies lacks."""


def code(page: Path) -> str:
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    return "\n".join(blocks)


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if code(page) and page.stem not in OF_THE_PEER],
    ids=lambda page: page.stem,
)
def test_the_code_of_a_page_runs(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run in this process, which has imported PyTorch and the frameworks once for all of them."""
    if page.stem in OF_TRAINING:
        pytest.importorskip("transformers")
    folder = tmp_path / "empty"
    folder.mkdir()
    monkeypatch.chdir(folder)
    (tmp_path / "page.py").write_text(code(page), encoding="utf-8")
    run_path(str(tmp_path / "page.py"), run_name="__main__")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_is_short_and_its_links_lead_somewhere(page: Path) -> None:
    text = page.read_text("utf-8")
    assert len(text.splitlines()) <= 80
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
        assert (page.parent / target).exists(), target
