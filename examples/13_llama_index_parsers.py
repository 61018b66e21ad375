"""Long documents, split by LlamaIndex's node parsers and updated by its pipeline."""

from llama_index.core import Document, VectorStoreIndex
from llama_index.core.ingestion import DocstoreStrategy, IngestionPipeline
from llama_index.core.node_parser import MarkdownNodeParser, SentenceSplitter
from llama_index.core.storage.docstore import SimpleDocumentStore

from m3kit import MemoryIndex
from m3kit.torch import TorchEncoder
from m3kit_llama_index import M3StoreEmbedding, M3VectorStore

printing = "# Printing\n\nChoose Format - Page Style. There choose Landscape, and then OK.\n"
pictures = "# Pictures\n\nChoose Insert - Media - Scan. The picture lands where the cursor is.\n"
encoder = TorchEncoder.from_pretrained("tiny")  # in production: "BAAI/bge-m3"
memory = MemoryIndex(encoder=encoder)
store = M3VectorStore(encoder, memory)
pipeline = IngestionPipeline(
    transformations=[
        MarkdownNodeParser(),
        SentenceSplitter(chunk_size=64, chunk_overlap=0),
        M3StoreEmbedding(),
    ],
    docstore=SimpleDocumentStore(),
    docstore_strategy=DocstoreStrategy.UPSERTS,
    vector_store=store,
)
handbook = [Document(text=printing, id_="printing"), Document(text=pictures, id_="pictures")]
print(len(pipeline.run(documents=handbook)), memory.count())
handbook[1] = Document(text=pictures.replace("Scan", "Scan - Request"), id_="pictures")
print(len(pipeline.run(documents=handbook)), memory.count())  # only what has changed

index = VectorStoreIndex.from_vector_store(store, embed_model=M3StoreEmbedding())
(hit,) = index.as_retriever(vector_store_query_mode="hybrid", similarity_top_k=1).retrieve("scan")
print(hit.node.ref_doc_id, "-", hit.node.get_content().splitlines()[-1])

# 2 2
# 1 2
# pictures - Choose Insert - Media - Scan - Request. The picture lands where the cursor is.
