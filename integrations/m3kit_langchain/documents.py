"""Conversion between LangChain's documents and m3kit's."""

from __future__ import annotations

from typing import Any, cast
from uuid import uuid4

from langchain_core.documents import Document

from m3kit.records import Document as M3Document


def to_m3(document: Document, id_: str | None) -> M3Document:
    """Convert a document. Its id is `id_`, or else the one that it has, or else a new UUID."""
    if id_ is None:
        id_ = document.id
    return M3Document(
        str(uuid4()) if id_ is None else id_, document.page_content, document.metadata
    )


def to_langchain(document: M3Document) -> Document:
    """Convert a document, with its id."""
    return Document(
        id=document.id,
        page_content=document.text,
        metadata=cast("dict[Any, Any]", document.metadata),
    )
