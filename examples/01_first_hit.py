"""Search texts across languages, in memory."""

from m3kit import Document, MemoryIndex, Retriever
from m3kit.torch import TorchEncoder

encoder = TorchEncoder.from_pretrained("tiny")  # in production: "BAAI/bge-m3"
retriever = Retriever(encoder, MemoryIndex(encoder=encoder))

retriever.add(
    [
        Document("en", "Choose File - Print to print the spreadsheet.", {"lang": "en"}),
        Document("de", "Zeilen und Spalten der Tabelle auswählen", {"lang": "de"}),
        Document("fr", "Enregistrer le document sous un autre nom", {"lang": "fr"}),
        Document("ja", "画像を文書に挿入する", {"lang": "ja"}),
    ]
)

for query in ("printing", "save the document", "insert an image", "select a row"):
    hit = retriever.search(query, k=1)[0]
    print(f"{query}: [{hit.document.id}] {hit.document.text}")

# printing: [en] Choose File - Print to print the spreadsheet.
# save the document: [fr] Enregistrer le document sous un autre nom
# insert an image: [ja] 画像を文書に挿入する
# select a row: [de] Zeilen und Spalten der Tabelle auswählen
