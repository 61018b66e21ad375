"""LangChain over Milvus Lite: the sample corpus in a file, asked with a stand-in for an LLM."""

import json
from pathlib import Path
from tempfile import mkdtemp

from langchain_core.documents import Document
from langchain_core.language_models import FakeListChatModel
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnablePassthrough

from m3kit import WithColbert, open_index
from m3kit.torch import TorchEncoder
from m3kit_langchain import M3Embeddings, M3VectorStore

encoder = TorchEncoder.from_pretrained("tiny")  # in production: "BAAI/bge-m3"
corpus = Path(__file__).parent / "data" / "corpus.jsonl"
passages = [json.loads(line) for line in corpus.read_text("utf-8").splitlines()]
documents = [
    Document(f"{row['metadata']['title']}\n{row['text']}", id=row["id"], metadata=row["metadata"])
    for row in passages
]
address = f"milvus://{mkdtemp()}/corpus.db/passages"  # or "milvus://host:19530/passages"
with open_index(address, encoder=encoder) as lite:
    index = WithColbert(lite, encoder)  # Milvus Lite holds no ColBERT vectors
    store = M3VectorStore.from_documents(documents, M3Embeddings(encoder=encoder), index=index)
    retriever = store.as_retriever(search_kwargs={"k": 1, "filter": {"lang": "en"}})
    prompt = ChatPromptTemplate.from_template("Use only this: {context}\nAnswer: {question}")
    context = retriever | (lambda hits: "\n".join(hit.page_content for hit in hits))
    model = FakeListChatModel(responses=["Choose Format - Page Style, and there Landscape."])
    chain = {"context": context, "question": RunnablePassthrough()} | prompt | model

    for question in ("How do I print sheets in landscape?", "Wie drucke ich im Querformat?"):
        print(retriever.invoke(question)[0].metadata["title"])
    print(chain.invoke(question).content)

# Printing Sheets in Landscape Format
# Printing Sheets in Landscape Format
# Choose Format - Page Style, and there Landscape.
