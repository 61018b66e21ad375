"""LangChain over Vespa: the sample corpus; deploy the package of docs/vespa.md first."""

import json
import os
from pathlib import Path

from langchain_core.documents import Document
from langchain_core.language_models import FakeListChatModel
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnablePassthrough
from vespa.application import Vespa

from m3kit.torch import TorchEncoder
from m3kit_langchain import M3Embeddings, M3VectorStore
from m3kit_vespa import VespaIndex

encoder = TorchEncoder.from_pretrained("tiny")  # in production: "BAAI/bge-m3"
corpus = Path(__file__).parent / "data" / "corpus.jsonl"
passages = [json.loads(line) for line in corpus.read_text("utf-8").splitlines()]
documents = [
    Document(f"{one['metadata']['title']}\n{one['text']}", id=one["id"], metadata=one["metadata"])
    for one in passages
    if one["metadata"]["lang"] == "en"
]
app = Vespa(os.environ.get("VESPA_URL", "http://localhost:8080"))
index = VespaIndex(app, "papers", encoder=encoder)
store = M3VectorStore.from_documents(documents, M3Embeddings(encoder=encoder), index=index)
retriever = store.as_retriever(search_kwargs={"k": 1, "filter": {"lang": "en"}})
prompt = ChatPromptTemplate.from_template("By this alone: {context}\nAnswer: {question}")
context = retriever | (lambda found: "\n".join(one.page_content for one in found))
model = FakeListChatModel(responses=["Choose Format - Page Style, and there Landscape."])
chain = {"context": context, "question": RunnablePassthrough()} | prompt | model

print(retriever.invoke("How do I print sheets in landscape?")[0].metadata["title"])
print(chain.invoke("How do I print sheets in landscape?").content)

# Printing Sheets in Landscape Format
# Choose Format - Page Style, and there Landscape.
