"""LlamaIndex over Qdrant: the sample corpus in a directory, a question answered by a stand-in."""

import json
from pathlib import Path
from tempfile import mkdtemp

from llama_index.core import VectorStoreIndex
from llama_index.core.llms import MockLLM
from llama_index.core.schema import TextNode
from llama_index.core.vector_stores import MetadataFilter, MetadataFilters

from m3kit import CachedEncoder, open_index
from m3kit.torch import TorchEncoder
from m3kit_llama_index import M3Embedding, M3VectorStore

encoder = CachedEncoder(TorchEncoder.from_pretrained("tiny"))  # in earnest: "BAAI/bge-m3"
corpus = Path(__file__).parent / "data" / "corpus.jsonl"
passages = [json.loads(line) for line in corpus.read_text("utf-8").splitlines()]
nodes = [TextNode(id_=one["id"], text=one["text"], metadata=one["metadata"]) for one in passages]
for node in nodes:
    node.excluded_embed_metadata_keys = ["lang", "section"]  # the title is part of what is found

with open_index(mkdtemp(), dim=encoder.dim, model=encoder.model) as index:  # or "qdrant://…/papers"
    store = M3VectorStore(encoder, index)
    store.add(nodes)
    over = VectorStoreIndex.from_vector_store(store, embed_model=M3Embedding(encoder))
    engine = over.as_query_engine(
        llm=MockLLM(),
        vector_store_query_mode="hybrid",
        similarity_top_k=1,
        filters=MetadataFilters(filters=[MetadataFilter(key="lang", value="en")]),
    )
    for asked in ("How do I print sheets in landscape?", "Wie drucke ich im Querformat?"):
        print(engine.query(asked).source_nodes[0].metadata["title"])

# Printing Sheets in Landscape Format
# Printing Sheets in Landscape Format
