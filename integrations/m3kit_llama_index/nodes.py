"""
A node as a document of an index, and back.

    id          the node's
    text        its content as LlamaIndex shows it to embedding models: what is encoded, and what a
                rescorer encodes again
    metadata    the node's own, under its own keys, where filters find it; and two keys of ours:
                `_m3kit_ref_doc_id`, the document that it was cut from (a node that was cut from
                none is its own), and `_m3kit_node`, all else about it as one JSON text

The metadata is JSON, and comes back as it went in; what JSON cannot say is refused, not turned into
strings. The bytes of an image or a sound stay with the docstore, as in all of LlamaIndex. What
another tool wrote into the index becomes a `TextNode`.
"""

from __future__ import annotations

import json
from typing import Any

from llama_index.core import schema
from llama_index.core.schema import BaseNode, MetadataMode, TextNode

from m3kit.records import Document

REF_DOC_ID = "_m3kit_ref_doc_id"
"""The key of the metadata under which the id of a node's source is kept."""

NODE = "_m3kit_node"
"""The key of the metadata under which the rest of a node is kept."""

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


def to_document(node: BaseNode) -> Document:
    """
    Write a node, without its embedding.

    A class that is not LlamaIndex's own comes back as the nearest one that is.

    Raises:
        ValueError: If the metadata has one of our two keys, or breaks a rule of `m3kit.Document`.
        TypeError: If the metadata holds what JSON cannot say.
    """
    for key in (NODE, REF_DOC_ID):
        if key in node.metadata:
            raise ValueError(
                f"node {node.node_id!r} has the metadata key {key!r}, under which the store keeps "
                "the node itself; rename it"
            )
    text = node.get_content(MetadataMode.EMBED)
    source = node.source_node
    kept = {
        REF_DOC_ID: source.node_id if source is not None else node.node_id,
        NODE: json.dumps(_rest(node, text), ensure_ascii=False),
    }
    return Document(node.node_id, text, {**node.metadata, **kept})


def to_node(document: Document) -> BaseNode:
    """Read a node from its document."""
    metadata: dict[str, Any] = dict(document.metadata)
    rest = metadata.pop(NODE, None)
    metadata.pop(REF_DOC_ID, None)
    if rest is None:
        return TextNode(id_=document.id, text=document.text, metadata=metadata)
    data = json.loads(rest)
    kind = _KINDS[data.pop("class_name")]
    text_at = data.pop(_TEXT_AT)
    if text_at is not None:
        _put_back(data, kind, document.text[text_at:])
    node: BaseNode = kind.from_dict({**data, "metadata": metadata})
    return node


def _rest(node: BaseNode, embedded: str) -> dict[str, Any]:
    """Dump what is kept nowhere else; the node's own text is mostly the end of `embedded`."""
    data = node.model_dump(mode="json", exclude={"embedding", "metadata"})
    own = node.get_content(MetadataMode.NONE)
    shared = embedded.endswith(own)
    if shared:
        _take_out(data, own)
    text_at = len(embedded) - len(own) if shared else None
    return {**data, "class_name": _kind(node), _TEXT_AT: text_at}


def _take_out(data: dict[str, Any], text: str) -> None:
    for place in (data, data.get("text_resource")):
        if place is not None and place.get("text") == text:
            del place["text"]


def _put_back(data: dict[str, Any], kind: type[BaseNode], text: str) -> None:
    place = data.get("text_resource") if issubclass(kind, schema.Node) else data
    if place is not None:
        place.setdefault("text", text)


def _kind(node: BaseNode) -> str:
    names: dict[type, str] = {kind: name for name, kind in _KINDS.items()}
    for kind in type(node).__mro__:
        if kind in names:
            return names[kind]
    raise TypeError(f"{type(node).__name__} is none of {', '.join(_KINDS)}, nor derived from one")
