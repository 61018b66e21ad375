from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

import pytest
from mcp import Client
from mcp.types import TextContent

from m3kit import Document, MemoryIndex, Retriever
from m3kit.testing import DOCUMENTS, ENCODER
from m3kit.torch import TorchEncoder

Call: TypeAlias = Callable[..., Coroutine[Any, Any, Any]]


def answer_of(result: Any) -> Any:
    """Return the JSON of a tool's answer, which is all that it says."""
    (content,) = result.content
    assert isinstance(content, TextContent)
    assert not result.is_error, content.text
    assert result.structured_content is None
    return json.loads(content.text)


async def refusal_of(client: Client, name: str, arguments: dict[str, Any]) -> str:
    """Return what a tool says of a call that it refuses."""
    result = await client.call_tool(name, arguments)
    (content,) = result.content
    assert isinstance(content, TextContent)
    assert result.is_error, content.text
    return content.text


@pytest.fixture(scope="session")
def papers() -> MemoryIndex:
    """The suite's documents, and one that is longer than an answer."""
    index = MemoryIndex()
    long = Document("long", "purring cats " * 5000, {"lang": "en", "n": 99, "loc": {"page": 7}})
    Retriever(ENCODER, index).add([*DOCUMENTS, long])
    return index


@pytest.fixture(scope="session")
def encoder() -> TorchEncoder:
    return TorchEncoder.from_pretrained("tiny")
