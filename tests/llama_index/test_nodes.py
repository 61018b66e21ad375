"""A node comes back from every store as it went in."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from llama_index.core import Document
from llama_index.core.schema import (
    BaseNode,
    ImageDocument,
    ImageNode,
    IndexNode,
    MediaResource,
    MetadataMode,
    Node,
    NodeRelationship,
    ObjectType,
    RelatedNodeInfo,
    TextNode,
)
from llama_index.core.vector_stores.types import VectorStoreQuery
from tests.llama_index.conftest import Call
from tests.llama_index.corpus import OP, QUERY, ids, make_nodes, one

import m3kit
from m3kit.testing import HashEncoder
from m3kit_llama_index import M3VectorStore
from m3kit_llama_index.nodes import NODE, REF_DOC_ID, to_document, to_node

COLLIDING = {
    "id": "not the id",
    "id_": 1,
    "text": "not the text",
    "_node_content": {"a": 1},
    "_node_type": "TextNode",
    "ref_doc_id": "not the source",
    "doc_id": "none",
    "document_id": None,
    "metadata": {"metadata": []},
    "class_name": "Document",
    "embedding": [1.5],
    "relationships": {},
    "m3kit_text_at": 3,
    "a.b": "dotted",
    "": "nameless",
}

RELATIONSHIPS = {
    NodeRelationship.SOURCE: RelatedNodeInfo(
        node_id="s", node_type=ObjectType.DOCUMENT, metadata={"deep": [{"a": None}]}, hash="ab"
    ),
    NodeRelationship.PREVIOUS: RelatedNodeInfo(node_id="p", node_type=ObjectType.TEXT),
    NodeRelationship.NEXT: RelatedNodeInfo(node_id="n"),
    NodeRelationship.CHILD: [RelatedNodeInfo(node_id="c"), RelatedNodeInfo(node_id="d")],
}

SHAPES: list[BaseNode] = [
    *make_nodes()[:2],
    TextNode(id_="colliding", text="the dog", metadata=COLLIDING),
    TextNode(id_="related", text="the cat", relationships=RELATIONSHIPS),
    TextNode(id_="empty", text=""),
    TextNode(id_="ends in blanks", text="the dog \n", metadata={"a": 1}),
    TextNode(
        id_="all its fields",
        text="the bear",
        metadata={"a": 1.0, "b": 1, "c": True, "d": "1", "e": None, "f": [], "g": {"h": [1, 2.5]}},
        excluded_embed_metadata_keys=["a"],
        excluded_llm_metadata_keys=["b"],
        metadata_template="{key} is {value}",
        metadata_separator=" and ",
        text_template="{content} ({metadata_str})",
        mimetype="text/html",
        start_char_idx=3,
        end_char_idx=11,
    ),
    IndexNode(id_="index", text="see there", index_id="there", extra_info={"a": 1}),
    IndexNode(id_="index of a node", text="see", index_id="x", obj=TextNode(id_="t", text="it")),
    ImageNode(id_="image", text="a picture", image="aGVsbG8=", image_mimetype="image/png"),
    Node(
        id_="media",
        text_resource=MediaResource(text="the gpu", mimetype="text/plain"),
        image_resource=MediaResource(data=b"abc", mimetype="image/png"),
        extra_info={"a": 1},
    ),
    Node(id_="nothing"),
    Document(id_="document", text="a whole document", metadata={"path": "a"}),
    Document(id_="an empty document"),
    ImageDocument(id_="photo", text="a photo", image=b"abc", metadata={"a": 1}),
    *(
        TextNode(id_=id_, text="the dog")
        for id_ in ("'; drop", 'a"b\\c', "日本 🐕", " ", "a\nb\0c", "x" * 3000, "7", "null")
    ),
]


BYTES = {"media", "photo"}
"""LlamaIndex's own serialisation leaves the bytes of media to the docstore."""


def same(one: BaseNode, other: BaseNode) -> bool:
    return type(one) is type(other) and one.model_dump() == other.model_dump()


def test_every_shape_comes_back_from_every_store(store: M3VectorStore, call: Call) -> None:
    call(store, "add", SHAPES)
    for node, back in zip(SHAPES, call(store, "get_nodes", ids(SHAPES)), strict=True):
        assert same(back, node), node.node_id
        assert back.hash == node.hash or node.node_id in BYTES
    found = call(store, "query", VectorStoreQuery(query_str=QUERY, similarity_top_k=99))
    by_id = {node.node_id: node for node in SHAPES}
    assert len(found.nodes) == len(SHAPES)
    assert all(same(node, by_id[node.node_id]) for node in found.nodes)


def test_numbers_keep_their_types(store: M3VectorStore) -> None:
    metadata = {"int": 1, "float": 1.0, "bool": True, "big": 2**62 + 1, "list": [1, 1.0, True]}
    store.add([TextNode(id_="a", text="a", metadata=metadata)])
    (back,) = store.get_nodes(["a"])
    assert repr(back.metadata) == repr(metadata)


def test_colliding_keys_are_filtered_by_their_own_names(store: M3VectorStore) -> None:
    store.add(SHAPES)
    for key in ("id", "text", "ref_doc_id", "doc_id", "class_name", "a.b"):
        found = store.get_nodes(filters=one(key, OP.EQ, COLLIDING[key]))
        assert ids(found) == ["colliding"], key
    for key in ("doc_id", "ref_doc_id", "document_id"):  # of the others, the source's id
        found = store.get_nodes(filters=one(key, OP.EQ, "s"))
        expected = [node.node_id for node in SHAPES if node.ref_doc_id == "s"]
        assert ids(found) == [id_ for id_ in expected if id_ != "colliding"]


def test_nodes_are_not_changed(store: M3VectorStore, call: Call) -> None:
    nodes = [node.model_copy(deep=True, update={"embedding": [1.0]}) for node in SHAPES]
    before = [node.model_dump() for node in nodes]
    call(store, "add", nodes)
    (back,) = store.get_nodes(["all its fields"])
    back.metadata["g"]["h"].append(3)
    assert [node.model_dump() for node in nodes] == before
    assert back.embedding is None
    assert store.get_nodes(["all its fields"])[0].metadata["g"]["h"] == [1, 2.5]


def test_the_text_is_what_is_encoded_and_kept_once() -> None:
    for node in SHAPES:
        document = to_document(node)
        assert document.text == node.get_content(MetadataMode.EMBED)
        rest = str(document.metadata[NODE])
        own = node.get_content()
        if own and document.text.endswith(own):
            assert f'"text": "{own}"' not in rest or isinstance(node, IndexNode)


@pytest.mark.parametrize("key", [NODE, REF_DOC_ID])
def test_our_two_keys_are_refused_by_name(store: M3VectorStore, key: str) -> None:
    with pytest.raises(ValueError, match=f"document 0 .'a'., metadata key '{key}': .*rename"):
        store.add([TextNode(id_="a", text="a", metadata={key: 1})])


@pytest.mark.parametrize(
    "metadata",
    [{"a": 1j}, {"a": b"x"}, {"a": float("nan")}, {"a": 2**63}, {1: "a"}],
    ids=str,
)
def test_what_json_cannot_say_is_refused(metadata: dict[Any, Any]) -> None:
    node = TextNode(id_="a", text="a")
    node.metadata.update(metadata)
    (key,) = metadata
    with pytest.raises(
        (TypeError, ValueError), match=rf"document 3 \('a'\), metadata key {key!r}: "
    ):
        to_document(node, 3)


def test_metadata_becomes_json_as_in_other_stores(store: M3VectorStore) -> None:
    metadata: dict[str, Any] = {
        "time": datetime(2024, 5, 1, 9, 30, tzinfo=UTC),
        "day": date(2024, 5, 1),
        "uuid": UUID(int=7),
        "path": Path("a.pdf"),
        "decimal": Decimal("1.5"),
        "tuple": (1, 2),
        "set": {2, 1},
        "int": np.int64(3),
        "float": np.float32(0.5),
        "bool": np.bool_(True),  # noqa: FBT003  # a value of metadata
    }
    source = RelatedNodeInfo(node_id="s", metadata={"day": date(2024, 5, 1), "n": np.int64(1)})
    node = TextNode(
        id_="a", text="a", metadata=metadata, relationships={NodeRelationship.SOURCE: source}
    )
    store.add([node])
    (back,) = store.get_nodes(["a"])
    assert back.metadata == {
        "time": "2024-05-01T09:30:00+00:00",
        "day": "2024-05-01",
        "uuid": "00000000-0000-0000-0000-000000000007",
        "path": "a.pdf",
        "decimal": "1.5",
        "tuple": [1, 2],
        "set": [1, 2],
        "int": 3,
        "float": 0.5,
        "bool": True,
    }
    assert type(back.metadata["int"]) is int
    assert back.source_node is not None
    assert back.source_node.metadata == {"day": "2024-05-01", "n": 1}
    assert back.get_content() == "a"


class Chapter(TextNode):
    """A class that LlamaIndex does not know."""

    number: int = 0


def test_a_derived_class_comes_back_as_the_nearest_known() -> None:
    back = to_node(to_document(Chapter(id_="a", text="b", extra_info={"c": 1}, number=2)))
    assert same(back, TextNode(id_="a", text="b", metadata={"c": 1}))


def test_what_another_tool_wrote_is_a_text_node(store: M3VectorStore, call: Call) -> None:
    document = m3kit.Document("x", "the dog is barking", {"lang": "en", "nested": {"a": [1]}})
    m3kit.Retriever(HashEncoder(), store.client).add([document])
    result = call(store, "query", VectorStoreQuery(query_str="the dog"))
    expected = TextNode(id_="x", text=document.text, metadata=dict(document.metadata))
    assert [node.model_dump() for node in result.nodes] == [expected.model_dump()]
