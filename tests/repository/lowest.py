"""Print pip constraints that pin every dependency to its lower bound, for `make lowest`."""

from __future__ import annotations

import re
import tomllib
from itertools import chain
from pathlib import Path

ROOT = Path(__file__).parents[2]


def constraints() -> list[str]:
    """Turn each `name>=version` of the project and its extras into `name==version`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"].values()
    named = [*project["dependencies"], *chain.from_iterable(extras)]
    bounds = (re.match(r"([\w-]+)>=([\w.]+)", one) for one in named)
    return sorted({f"{bound[1]}=={bound[2]}" for bound in bounds if bound})


if __name__ == "__main__":
    print(*constraints(), sep="\n")
