"""
BGE-M3 for LlamaIndex, over every `m3kit.HybridIndex`.

`VectorStoreIndex` and `IngestionPipeline` embed each node before they pass the nodes to the store,
which encodes them too. With a `CachedEncoder` behind both, each text takes one forward pass:

    encoder = CachedEncoder(TorchEncoder.from_pretrained("BAAI/bge-m3"))
    with M3VectorStore(encoder, "papers") as store:
        index = VectorStoreIndex.from_documents(
            documents,
            storage_context=StorageContext.from_defaults(vector_store=store),
            embed_model=M3Embedding(encoder),
        )

The cache holds what is embedded before it is added: keep `insert_batch_size` small enough for its
`max_bytes`. Only what the store encodes is searched, so without a cache, LlamaIndex's
`embed_model=MockEmbedding(1)` costs nothing and changes no answer. An `IngestionPipeline` passes on
only nodes that have an embedding: make one of the two its last transformation.
"""

from m3kit_llama_index.embeddings import M3Embedding, M3SparseEmbedding
from m3kit_llama_index.filters import to_filter
from m3kit_llama_index.reranker import M3Reranker
from m3kit_llama_index.retriever import M3Retriever
from m3kit_llama_index.vector_store import M3VectorStore

__all__ = [
    "M3Embedding",
    "M3Reranker",
    "M3Retriever",
    "M3SparseEmbedding",
    "M3VectorStore",
    "to_filter",
]
