"""
Payloads of LlamaIndex's Qdrant store, which keep the text in a JSON text.

    _node_content  the node as JSON, with its text and its metadata
    _node_type     its class
    and all of the metadata once more, with `document_id`, `doc_id` and `ref_doc_id`: what document
    the node was cut from, `"None"` if from none
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

CONTENT = "_node_content"
TYPE = "_node_type"

_SOURCES = ("document_id", "doc_id", "ref_doc_id")
_NONE = "None"


def text_of(content: str) -> str:
    """Read a node's text; a node of other media has none."""
    node = json.loads(content)
    return str(node.get("text") or (node.get("text_resource") or {}).get("text") or "")


def to_node(id_: str, text: str, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Write a text node as LlamaIndex reads it, beside the fields of its metadata."""
    source = next((metadata[name] for name in _SOURCES if metadata.get(name, _NONE) != _NONE), None)
    related: dict[str, Any] = {
        "node_id": source,
        "node_type": "4",
        "metadata": {},
        "class_name": "RelatedNodeInfo",
    }
    node: dict[str, Any] = {
        "id_": id_,
        "embedding": None,
        "metadata": {name: value for name, value in metadata.items() if name not in _SOURCES},
        "excluded_embed_metadata_keys": [],
        "excluded_llm_metadata_keys": [],
        "relationships": {} if source is None else {"1": related},
        "text": text,
        "class_name": "TextNode",
    }
    return {CONTENT: json.dumps(node, ensure_ascii=False), TYPE: "TextNode"}
