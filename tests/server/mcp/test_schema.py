from __future__ import annotations

import json

from tests.server.mcp.tools import SNAPSHOT, tools

from m3kit.torch import TorchEncoder


async def test_the_tools_are_those_of_the_snapshot(encoder: TorchEncoder) -> None:
    """If they are to change: `python -m tests.server.mcp.tools`, and the changelog."""
    assert await tools(encoder) == json.loads(SNAPSHOT.read_text(encoding="utf-8"))
