from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from m3kit.ingest import Reject, SourceDocument, read_sources

Write: TypeAlias = Callable[[str, "str | bytes"], Path]
Read: TypeAlias = Callable[..., list["SourceDocument | Reject"]]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a file below the test's folder."""

    def write(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


@pytest.fixture
def read(write: Write) -> Read:
    """Read a file with this content."""

    def read(name: str, content: str | bytes, **options: Any) -> list[SourceDocument | Reject]:
        return list(read_sources([write(name, content)], **options))

    return read
