"""
BGE-M3 for LlamaIndex, over every `m3kit.HybridIndex`.

`VectorStoreIndex` and `IngestionPipeline` embed each node before they pass the nodes to the store,
which encodes nodes and queries itself. `M3StoreEmbedding` costs nothing there:

    encoder = TorchEncoder.from_pretrained("BAAI/bge-m3")
    with M3VectorStore(encoder, "papers") as store:
        index = VectorStoreIndex.from_documents(
            documents,
            storage_context=StorageContext.from_defaults(vector_store=store),
            embed_model=M3StoreEmbedding(),
        )

An `IngestionPipeline` passes on only nodes that have an embedding: make it the last transformation.
"""

from m3kit_llama_index.embeddings import M3Embedding, M3SparseEmbedding, M3StoreEmbedding
from m3kit_llama_index.filters import to_filter
from m3kit_llama_index.reranker import M3Reranker
from m3kit_llama_index.retriever import M3Retriever
from m3kit_llama_index.vector_store import M3VectorStore

__all__ = [
    "M3Embedding",
    "M3Reranker",
    "M3Retriever",
    "M3SparseEmbedding",
    "M3StoreEmbedding",
    "M3VectorStore",
    "to_filter",
]
