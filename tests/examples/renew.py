"""Write anew what each example prints: `python -m tests.examples.renew`."""

from __future__ import annotations

import io
from contextlib import chdir, redirect_stdout
from pathlib import Path
from runpy import run_path
from tempfile import TemporaryDirectory

from tests.examples.test_examples import EXAMPLES


def renew(path: Path) -> None:
    """Run an example in an empty folder, and replace the lines that show what it prints."""
    printed = io.StringIO()
    with TemporaryDirectory() as folder, chdir(folder), redirect_stdout(printed):
        run_path(str(path), run_name="__main__")
    *code, _ = path.read_text("utf-8").rstrip().split("\n\n")
    shown = "\n".join(f"# {line}" for line in printed.getvalue().splitlines())
    path.write_text("\n\n".join([*code, shown]) + "\n", "utf-8")


if __name__ == "__main__":
    for path in EXAMPLES:
        renew(path)
