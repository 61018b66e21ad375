"""An index in a directory, with Qdrant's engine in the process: filter, update, delete."""

import tempfile

from m3kit import Document, Eq, Range, Retriever, open_index
from m3kit.torch import TorchEncoder

encoder = TorchEncoder.from_pretrained("tiny")
directory = tempfile.mkdtemp()

with open_index(directory, encoder=encoder) as index:
    Retriever(encoder, index).add(
        [
            Document("a", "Insert a picture into the document", {"year": 2020, "tags": ["image"]}),
            Document("b", "Rotate the picture on the page", {"year": 2023, "tags": ["image"]}),
            Document("c", "Print the document", {"year": 2024, "tags": []}),
        ]
    )

with open_index(directory) as index:  # later, perhaps in another process
    retriever = Retriever(encoder, index)
    recent = retriever.search("picture", where=Range("year", ge=2021), k=1)
    print(recent[0].document.id, recent[0].document.metadata)

    retriever.add([Document("c", "Print the picture", {"year": 2025})])  # replaces the old "c"
    index.delete(["b"])
    index.delete_where(Eq("year", 2020))
    print([record.document.text for record in index.scan()])

# b {'year': 2023, 'tags': ['image']}
# ['Print the picture']
