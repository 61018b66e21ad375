"""
BGE-M3 for LlamaIndex, over every `m3kit.HybridIndex`.

`VectorStoreIndex` and `IngestionPipeline` ask an embedding for each node before they hand the nodes
to the store, which encodes them too. One `CachedEncoder` behind both costs one forward pass a text:

    encoder = CachedEncoder(TorchEncoder.from_pretrained("BAAI/bge-m3"))
    store = M3VectorStore(encoder, open_index("papers", dim=encoder.dim, model=encoder.model))
    index = VectorStoreIndex.from_vector_store(store, embed_model=M3Embedding(encoder))

The cache holds what is embedded before it is added: keep `insert_batch_size` small enough for its
`max_bytes`. What the store encodes is all that is searched, so where a cache is not wanted,
`embed_model=MockEmbedding(1)` of LlamaIndex costs nothing and changes no answer. An
`IngestionPipeline` hands over the nodes that have an embedding, and no others: let one of the two
be its last transformation.
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
