"""LangChain over Milvus Lite: the sample corpus in a file, a question answered by a stand-in."""

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

encoder = TorchEncoder.from_pretrained("tiny")  # in earnest: "BAAI/bge-m3"
corpus = Path(__file__).parent / "data" / "corpus.jsonl"
passages = [json.loads(line) for line in corpus.read_text("utf-8").splitlines()]
documents = [
    Document(f"{one['metadata']['title']}\n{one['text']}", id=one["id"], metadata=one["metadata"])
    for one in passages
]
address = f"milvus://{mkdtemp()}/corpus.db/passages"  # or "milvus://host:19530/passages"
with open_index(address, dim=encoder.dim, model=encoder.model) as lite:
    index = WithColbert(lite, encoder)  # ColBERT, which Milvus Lite does not hold
    store = M3VectorStore.from_documents(documents, M3Embeddings(encoder=encoder), index=index)
    retriever = store.as_retriever(search_kwargs={"k": 1, "filter": {"lang": "en"}})
    prompt = ChatPromptTemplate.from_template("By this alone: {context}\nAnswer: {question}")
    context = retriever | (lambda found: "\n".join(one.page_content for one in found))
    model = FakeListChatModel(responses=["Choose Format - Page Style, and there Landscape."])
    chain = {"context": context, "question": RunnablePassthrough()} | prompt | model

    for asked in ("How do I print sheets in landscape?", "Wie drucke ich im Querformat?"):
        print(retriever.invoke(asked)[0].metadata["title"])
    print(chain.invoke(asked).content)

# Printing Sheets in Landscape Format
# Printing Sheets in Landscape Format
# Choose Format - Page Style, and there Landscape.
