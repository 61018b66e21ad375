"""The tools as clients see them: `python -m tests.server.mcp.tools` writes `tools.json` anew."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from mcp import Client

from m3kit import MemoryIndex
from m3kit.server.mcp import create_mcp
from m3kit.torch import TorchEncoder

SNAPSHOT = Path(__file__).with_name("tools.json")


async def tools(encoder: TorchEncoder) -> list[dict[str, Any]]:
    """List the tools over an empty index, which has no fields of its own to tell of."""
    async with Client(create_mcp(encoder, MemoryIndex(encoder=encoder), write=True)) as client:
        listed = (await client.list_tools()).tools
    return [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in listed]


if __name__ == "__main__":
    listed = asyncio.run(tools(TorchEncoder.from_pretrained("tiny")))
    text = json.dumps(listed, indent=2, ensure_ascii=False)
    SNAPSHOT.write_text(f"{text}\n", encoding="utf-8")
