"""LlamaIndex over an index in a directory: a question, and a stand-in for an LLM."""

from tempfile import mkdtemp

from llama_index.core import Document, StorageContext, VectorStoreIndex
from llama_index.core.llms import MockLLM

from m3kit.torch import TorchEncoder
from m3kit_llama_index import M3StoreEmbedding, M3VectorStore

documents = [
    Document(text="Choose File - Print to print the spreadsheet.", metadata={"lang": "en"}),
    Document(text="Zeilen und Spalten der Tabelle auswählen", metadata={"lang": "de"}),
    Document(text="Enregistrer le document sous un autre nom", metadata={"lang": "fr"}),
]
encoder = TorchEncoder.from_pretrained("tiny")  # in production: "BAAI/bge-m3"
address = mkdtemp()  # in production: "papers", or "qdrant://host:6333/papers"
with M3VectorStore(encoder, address) as store:
    context = StorageContext.from_defaults(vector_store=store)
    index = VectorStoreIndex.from_documents(
        documents, storage_context=context, embed_model=M3StoreEmbedding()
    )
    hybrid = {"vector_store_query_mode": "hybrid", "similarity_top_k": 1}
    engine = index.as_query_engine(llm=MockLLM(), **hybrid)
    answer = engine.query("How do I save the document?")  # dense and sparse, rescored by ColBERT
    print(answer.source_nodes[0].node.get_content())
    print(answer.source_nodes[0].node.metadata)

# Enregistrer le document sous un autre nom
# {'lang': 'fr'}
