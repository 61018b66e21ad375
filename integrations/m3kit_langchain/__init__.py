"""
BGE-M3 in LangChain: embeddings, a store over any `m3kit.HybridIndex`, a retriever, a reranker.

`m3kit_langchain.qdrant` and `m3kit_langchain.milvus` have the sparse embeddings for the stores of
`langchain-qdrant` and `langchain-milvus`; each needs that package.
"""

from m3kit_langchain.embeddings import EmbeddingsEncoder, M3Embeddings, to_encoder
from m3kit_langchain.filters import to_filter
from m3kit_langchain.reranker import M3Reranker
from m3kit_langchain.retriever import M3Retriever
from m3kit_langchain.self_query import M3Translator
from m3kit_langchain.vectorstore import M3VectorStore

__all__ = [
    "EmbeddingsEncoder",
    "M3Embeddings",
    "M3Reranker",
    "M3Retriever",
    "M3Translator",
    "M3VectorStore",
    "to_encoder",
    "to_filter",
]
