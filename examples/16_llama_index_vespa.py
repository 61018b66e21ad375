"""LlamaIndex over Vespa: the sample corpus; deploy the package of docs/vespa.md first."""

import json
import os
from pathlib import Path

from llama_index.core import VectorStoreIndex
from llama_index.core.llms import MockLLM
from llama_index.core.schema import TextNode
from vespa.application import Vespa

from m3kit.torch import TorchEncoder
from m3kit_llama_index import M3StoreEmbedding, M3VectorStore
from m3kit_vespa import VespaIndex

encoder = TorchEncoder.from_pretrained("tiny")  # in production: "BAAI/bge-m3"
corpus = Path(__file__).parent / "data" / "corpus.jsonl"
passages = [json.loads(line) for line in corpus.read_text("utf-8").splitlines()]
nodes = [
    TextNode(id_=row["id"], text=row["text"], metadata=row["metadata"])
    for row in passages
    if row["metadata"]["lang"] == "en"
]
for node in nodes:
    node.excluded_embed_metadata_keys = ["lang", "section"]  # the title is searched, too

app = Vespa(os.environ.get("VESPA_URL", "http://localhost:8080"))
store = M3VectorStore(encoder, VespaIndex(app, "papers", encoder=encoder))
store.add(nodes)
vector_index = VectorStoreIndex.from_vector_store(store, embed_model=M3StoreEmbedding())
query = {"vector_store_query_mode": "hybrid", "similarity_top_k": 1}
answer = vector_index.as_query_engine(llm=MockLLM(), **query).query(
    "How do I print sheets in landscape?"
)
print(answer.source_nodes[0].metadata["title"])

# Printing Sheets in Landscape Format
