"""LlamaIndex over Qdrant: the sample corpus in a directory, asked with a stand-in for an LLM."""

import json
from pathlib import Path
from tempfile import mkdtemp

from llama_index.core import VectorStoreIndex
from llama_index.core.llms import MockLLM
from llama_index.core.schema import TextNode
from llama_index.core.vector_stores import MetadataFilter, MetadataFilters

from m3kit.torch import TorchEncoder
from m3kit_llama_index import M3StoreEmbedding, M3VectorStore

encoder = TorchEncoder.from_pretrained("tiny")  # in production: "BAAI/bge-m3"
corpus = Path(__file__).parent / "data" / "corpus.jsonl"
passages = [json.loads(line) for line in corpus.read_text("utf-8").splitlines()]
nodes = [TextNode(id_=row["id"], text=row["text"], metadata=row["metadata"]) for row in passages]
for node in nodes:
    node.excluded_embed_metadata_keys = ["lang", "section"]  # the title is searched, too

address = mkdtemp()  # or "papers", or "qdrant://host:6333/papers"
with M3VectorStore(encoder, address) as store:
    store.add(nodes)
    vector_index = VectorStoreIndex.from_vector_store(store, embed_model=M3StoreEmbedding())
    engine = vector_index.as_query_engine(
        llm=MockLLM(),
        vector_store_query_mode="hybrid",
        similarity_top_k=1,
        filters=MetadataFilters(filters=[MetadataFilter(key="lang", value="en")]),
    )
    for question in ("How do I print sheets in landscape?", "Wie drucke ich im Querformat?"):
        print(engine.query(question).source_nodes[0].metadata["title"])

# Printing Sheets in Landscape Format
# Printing Sheets in Landscape Format
