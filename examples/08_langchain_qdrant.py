"""LangChain over Qdrant: the sample corpus in a directory, asked with a stand-in for an LLM."""

import json
from pathlib import Path
from tempfile import mkdtemp

from langchain_core.documents import Document
from langchain_core.language_models import FakeListChatModel
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnablePassthrough

from m3kit_langchain import M3Embeddings, M3VectorStore

embeddings = M3Embeddings(model_name="tiny")  # in production: M3Embeddings()
corpus = Path(__file__).parent / "data" / "corpus.jsonl"
passages = [json.loads(line) for line in corpus.read_text("utf-8").splitlines()]
documents = [
    Document(f"{row['metadata']['title']}\n{row['text']}", id=row["id"], metadata=row["metadata"])
    for row in passages
]
address = mkdtemp()  # or "papers", or "qdrant://host:6333/papers"
with M3VectorStore.from_documents(documents, embeddings, index=address) as store:
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
