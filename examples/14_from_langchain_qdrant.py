"""From langchain-qdrant with FastEmbedSparse: encode the texts again, keep ids and metadata."""

from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_qdrant import QdrantVectorStore, RetrievalMode
from langchain_qdrant.sparse_embeddings import SparseEmbeddings, SparseVector

from m3kit import CachedEncoder, FieldNames, Retriever
from m3kit.torch import TorchEncoder
from m3kit_langchain import M3VectorStore
from m3kit_qdrant import QdrantIndex


class Lengths(SparseEmbeddings):  # a stand-in for FastEmbedSparse, which downloads a model
    def embed_query(self, text: str) -> SparseVector:
        return SparseVector(indices=[len(text)], values=[1.0])

    def embed_documents(self, texts: list[str]) -> list[SparseVector]:
        return [self.embed_query(text) for text in texts]


existing = QdrantVectorStore.from_texts(
    ["Print the sheet in landscape", "Scan a picture", "Freeze rows and columns"],
    DeterministicFakeEmbedding(size=64),
    metadatas=[{"app": "calc"}, {"app": "draw"}, {"app": "calc"}],
    location=":memory:",
    collection_name="papers",
    sparse_embedding=Lengths(),
    retrieval_mode=RetrievalMode.HYBRID,
)
fields = FieldNames(text="page_content", metadata="metadata", dense="")
old = QdrantIndex(existing.client, "papers", fields=fields)
encoder = CachedEncoder(TorchEncoder.from_pretrained("tiny"))  # in production: "BAAI/bge-m3"
new = QdrantIndex(existing.client, "papers-m3", encoder=encoder)
Retriever(encoder, new).add(record.document for record in old.scan())
(hit,) = M3VectorStore(encoder, new).similarity_search("landscape", k=1, filter={"app": "calc"})
print(new.count(), hit.page_content, hit.metadata)

# 3 Print the sheet in landscape {'app': 'calc'}
