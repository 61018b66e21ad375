"""LangChain's documents and m3kit's, each made of the other."""

from __future__ import annotations

from typing import Any, cast
from uuid import uuid4

from langchain_core.documents import Document

from m3kit.records import Document as M3Document


def to_m3(document: Document, id_: str | None) -> M3Document:
    """Make a document of m3kit under `id_`, else under its own id, else under a new one."""
    own = document.id if id_ is None else id_
    return M3Document(
        str(uuid4()) if own is None else own, document.page_content, document.metadata
    )


def to_langchain(document: M3Document) -> Document:
    """Make a document of LangChain, with its id."""
    return Document(
        id=document.id,
        page_content=document.text,
        metadata=cast("dict[Any, Any]", document.metadata),
    )
