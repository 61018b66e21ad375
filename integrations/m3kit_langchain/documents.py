"""Conversion between LangChain's documents and m3kit's."""

from __future__ import annotations

from typing import Any, cast
from uuid import uuid4

from langchain_core.documents import Document

from m3kit.frameworks import to_document
from m3kit.records import Document as M3Document
from m3kit.records import Hit


def to_m3(document: Document, id_: str | None, position: int = 0) -> M3Document:
    """
    Convert a document. Its id is `id_`, or else the one that it has, or else a new UUID.

    Dates, UUIDs, paths, decimals, enums, tuples, sets and NumPy's numbers in the metadata become
    JSON, as in LangChain's other stores.

    Raises:
        TypeError, ValueError: If the metadata has something else that is no JSON, naming the
            position and the id of the document, and the metadata key.
    """
    if id_ is None:
        id_ = document.id
    if id_ is None:
        id_ = str(uuid4())
    return to_document(id_, document.page_content, document.metadata, position)


def to_langchain(document: M3Document) -> Document:
    """Convert a document, with its id."""
    return Document(
        id=document.id,
        page_content=document.text,
        metadata=cast("dict[Any, Any]", document.metadata),
    )


def to_scored(hit: Hit, score_key: str | None) -> Document:
    """Convert a hit, with its score and its representations' scores where a key is given."""
    document = to_langchain(hit.document)
    if score_key is not None:
        document.metadata[score_key] = hit.score
        if hit.scores:
            document.metadata[f"{score_key}s"] = dict(hit.scores)
    return document
