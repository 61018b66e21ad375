"""
Conversion between LlamaIndex's nodes and m3kit's documents.

    id          the node's id
    text        the node's content for embedding models (`MetadataMode.EMBED`): what is encoded
    metadata    the node's metadata, under its keys, where filters find it, and two more keys:
                `_m3kit_ref_doc_id`, the id of the source document (of a node without a source, its
                id), and `_m3kit_node`, the rest of the node as JSON text

JSON in the metadata comes back unchanged. Dates, UUIDs, paths, decimals, enums, tuples, sets and
NumPy's numbers become JSON (see `m3kit.frameworks.to_json`); other values are refused.
The bytes of images and audio stay in the docstore, as everywhere in LlamaIndex. A document that
another tool wrote becomes a `TextNode`.
"""

from __future__ import annotations

import json
from typing import Any

from llama_index.core import schema
from llama_index.core.schema import BaseNode, MetadataMode, TextNode

from m3kit.filters import Field
from m3kit.frameworks import to_document as document_of
from m3kit.frameworks import to_json
from m3kit.records import Document

REF_DOC_ID = "_m3kit_ref_doc_id"
"""The metadata key of the id of a node's source document."""

NODE = "_m3kit_node"
"""The metadata key of the rest of a node, as JSON text."""

SOURCE_NAMES = ("doc_id", "ref_doc_id", "document_id")
"""What LlamaIndex's stores call the id of the source document."""

_TEXT_AT = "m3kit_text_at"
_KINDS: dict[str, type[BaseNode]] = {
    kind.class_name(): kind
    for kind in (
        schema.Document,
        schema.ImageDocument,
        schema.ImageNode,
        schema.IndexNode,
        schema.Node,
        schema.TextNode,
    )
}


def to_document(node: BaseNode, position: int = 0) -> Document:
    """
    Convert a node, without its embedding.

    Args:
        node: An instance of a subclass comes back as the nearest class that LlamaIndex defines.
        position: Its place among the nodes, for an error to name.

    Raises:
        ValueError: If the metadata has a reserved key, or breaks a rule of `m3kit.Document`.
        TypeError: If the metadata is not JSON. Both name the position and the id of the node, and
            the metadata key.
    """
    for key in (NODE, REF_DOC_ID):
        if key in node.metadata:
            raise ValueError(
                f"document {position} ({node.node_id!r}), metadata key {key!r}: m3kit reserves "
                "this name; rename it"
            )
    text = node.get_content(MetadataMode.EMBED)
    source = node.source_node
    reserved = {
        REF_DOC_ID: source.node_id if source is not None else node.node_id,
        NODE: json.dumps(_rest(node, text), ensure_ascii=False),
    }
    return document_of(node.node_id, text, {**node.metadata, **reserved}, position)


def to_node(document: Document) -> BaseNode:
    """Convert a document back into its node."""
    metadata: dict[str, Any] = dict(document.metadata)
    rest = metadata.pop(NODE, None)
    metadata.pop(REF_DOC_ID, None)
    if rest is None:
        return TextNode(id_=document.id, text=document.text, metadata=metadata)
    data = json.loads(rest)
    kind = _KINDS[data.pop("class_name")]
    text_at = data.pop(_TEXT_AT)
    if text_at is not None:
        _insert_text(data, kind, document.text[text_at:])
    node: BaseNode = kind.from_dict({**data, "metadata": metadata})
    return node


def to_group_field(group_by: Field | None) -> Field | None:
    """Return the field of documents to group nodes by; a name of the source's id stands for it."""
    return REF_DOC_ID if group_by in SOURCE_NAMES else group_by


def _rest(node: BaseNode, embedded: str) -> dict[str, Any]:
    """Dump the node without its text where `embedded` ends with that, as it mostly does."""
    data = node.model_dump(mode="json", exclude={"embedding", "metadata"}, fallback=to_json)
    text = node.get_content(MetadataMode.NONE)
    is_suffix = embedded.endswith(text)
    if is_suffix:
        _remove_text(data, text)
    text_at = len(embedded) - len(text) if is_suffix else None
    return {**data, "class_name": _kind(node), _TEXT_AT: text_at}


def _remove_text(data: dict[str, Any], text: str) -> None:
    for resource in (data, data.get("text_resource")):
        if resource is not None and resource.get("text") == text:
            del resource["text"]


def _insert_text(data: dict[str, Any], kind: type[BaseNode], text: str) -> None:
    resource = data.get("text_resource") if issubclass(kind, schema.Node) else data
    if resource is not None:
        resource.setdefault("text", text)


def _kind(node: BaseNode) -> str:
    names: dict[type, str] = {kind: name for name, kind in _KINDS.items()}
    for kind in type(node).__mro__:
        if kind in names:
            return names[kind]
    raise TypeError(f"{type(node).__name__} is not a subclass of any of {', '.join(_KINDS)}")
