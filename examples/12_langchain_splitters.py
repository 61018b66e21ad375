"""Long documents, split by LangChain's text splitters."""

from langchain_core.documents import Document
from langchain_text_splitters import MarkdownHeaderTextSplitter, RecursiveCharacterTextSplitter

from m3kit_langchain import M3Embeddings, M3VectorStore

handbook = """\
# Printing
## Landscape
Choose Format - Page Style and the Page tab. There choose Landscape, and then OK.
## Labels
Choose File - New - Labels. On the Format tab define the size of the labels and their margins.
# Pictures
## Scanning
Choose Insert - Media - Scan - Request. The picture lands where the cursor is.
"""
headers = MarkdownHeaderTextSplitter([("#", "chapter"), ("##", "section")])
pieces = RecursiveCharacterTextSplitter(chunk_size=60, chunk_overlap=0)
parts = pieces.split_documents(headers.split_text(handbook))
for number, part in enumerate(parts):
    part.id = f"handbook-{number}"  # indexing the text again replaces its parts

embeddings = M3Embeddings(model_name="tiny")  # in production: M3Embeddings()
store = M3VectorStore.from_documents(parts, embeddings)
store.add_documents(parts)
store.add_documents([Document("Close the window by Alt+F4.", id="keys", metadata={})])

for hit in store.similarity_search("request a scan of a picture", k=2):
    print(hit.id, hit.metadata)
print(len(parts), store.index.count())

# handbook-4 {'chapter': 'Pictures', 'section': 'Scanning'}
# handbook-1 {'chapter': 'Printing', 'section': 'Landscape'}
# 6 7
