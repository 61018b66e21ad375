"""LangChain over an index in a directory: a question, and a stand-in for an LLM."""

from tempfile import mkdtemp

from langchain_core.documents import Document
from langchain_core.language_models import FakeListChatModel
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnablePassthrough

from m3kit_langchain import M3Embeddings, M3VectorStore

documents = [
    Document("Press F5 to open the Navigator.", metadata={"app": "writer"}),
    Document("To freeze rows, choose View - Freeze Rows and Columns.", metadata={"app": "calc"}),
    Document("A master slide sets the look of all slides.", metadata={"app": "impress"}),
]
embeddings = M3Embeddings(model_name="tiny")  # in production: M3Embeddings()
address = mkdtemp()  # in production: "papers", or "qdrant://host:6333/papers"
with M3VectorStore.from_documents(documents, embeddings, index=address) as store:
    retriever = store.as_retriever(search_kwargs={"k": 1, "filter": {"app": {"$ne": "impress"}}})

    prompt = ChatPromptTemplate.from_template("Use only this: {context}\nAnswer: {question}")
    context = retriever | (lambda hits: "\n".join(hit.page_content for hit in hits))
    model = FakeListChatModel(responses=["Choose View - Freeze Rows and Columns."])
    inputs = {"context": context, "question": RunnablePassthrough()}
    chain = inputs | prompt | model | StrOutputParser()

    print(retriever.invoke("How do I freeze rows?")[0].metadata)
    print(chain.invoke("How do I freeze rows?"))

# {'app': 'calc'}
# Choose View - Freeze Rows and Columns.
