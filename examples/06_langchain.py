"""A question answered by LangChain over M3's hybrid search; the language model is a stand-in."""

from langchain_core.documents import Document
from langchain_core.language_models import FakeListChatModel
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnablePassthrough

from m3kit.torch import TorchEncoder
from m3kit_langchain import M3Embeddings, M3VectorStore

documents = [
    Document("Press F5 to open the Navigator.", metadata={"app": "writer"}),
    Document("To freeze rows, choose View - Freeze Rows and Columns.", metadata={"app": "calc"}),
    Document("A master slide sets the look of all slides.", metadata={"app": "impress"}),
]
embeddings = M3Embeddings(encoder=TorchEncoder.from_pretrained("tiny"))  # or M3Embeddings()
store = M3VectorStore.from_documents(documents, embeddings)  # index=EdgeIndex("papers", …) keeps it
retriever = store.as_retriever(search_kwargs={"k": 1, "filter": {"app": {"$ne": "impress"}}})

prompt = ChatPromptTemplate.from_template("By this alone: {context}\nAnswer: {question}")
context = retriever | (lambda found: "\n".join(one.page_content for one in found))
model = FakeListChatModel(responses=["Choose View - Freeze Rows and Columns."])
chain = {"context": context, "question": RunnablePassthrough()} | prompt | model | StrOutputParser()

print(retriever.invoke("How do I freeze rows?")[0].metadata)
print(chain.invoke("How do I freeze rows?"))

# {'app': 'calc'}
# Choose View - Freeze Rows and Columns.
