"""Answer a question over a few documents with LlamaIndex; the language model is a stand-in."""

from llama_index.core import Document, VectorStoreIndex
from llama_index.core.llms import MockLLM

from m3kit import CachedEncoder, MemoryIndex
from m3kit.torch import TorchEncoder
from m3kit_llama_index import M3Embedding, M3VectorStore

encoder = CachedEncoder(TorchEncoder.from_pretrained("tiny"))  # in earnest: "BAAI/bge-m3"
store = M3VectorStore(encoder, MemoryIndex(encoder.dim))
index = VectorStoreIndex.from_vector_store(store, embed_model=M3Embedding(encoder))

for document in (
    Document(text="Choose File - Print to print the spreadsheet.", metadata={"lang": "en"}),
    Document(text="Zeilen und Spalten der Tabelle auswählen", metadata={"lang": "de"}),
    Document(text="Enregistrer le document sous un autre nom", metadata={"lang": "fr"}),
):
    index.insert(document)

engine = index.as_query_engine(llm=MockLLM(), vector_store_query_mode="hybrid", similarity_top_k=1)
answer = engine.query("How do I save the document?")  # dense and sparse, ordered by ColBERT
print(answer.source_nodes[0].node.get_content())
print(answer.source_nodes[0].node.metadata)

# Enregistrer le document sous un autre nom
# {'lang': 'fr'}
