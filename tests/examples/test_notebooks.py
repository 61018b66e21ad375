"""
The notebooks run from top to bottom, and print what they show.

    python -m tests.examples.test_notebooks

writes their outputs anew.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[2] / "examples"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


def executed(path: Path, folder: Path) -> Any:
    """Run a notebook in a folder and a kernel of its own."""
    notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    resources = {"metadata": {"path": str(folder)}}
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources=resources).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # when each cell ran
    return notebook


def printed(notebook: Any) -> list[str]:
    """Return what the cells print."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    return [output.text for output in outputs if output.output_type == "stream"]


def pictures(notebook: Any) -> list[str]:
    """Return the pictures of the cells."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    shown = [output.data.get("text/html") for output in outputs if "data" in output]
    return [picture for picture in shown if picture]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_prints_what_it_shows(path: Path, tmp_path: Path) -> None:
    stored = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    fresh = executed(path, tmp_path)
    assert printed(fresh) == printed(stored)
    assert printed(fresh)
    hit, explanation = pictures(fresh)
    assert 'class="m3 m3-card"' in hit
    assert 'class="m3-heat"' in explanation
    assert len(pictures(stored)) == 2


def test_there_is_one_for_each_framework() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["langchain", "llama_index"]


if __name__ == "__main__":
    from tempfile import mkdtemp

    for file in NOTEBOOKS:
        nbformat.write(executed(file, Path(mkdtemp())), file)  # type: ignore[no-untyped-call]
