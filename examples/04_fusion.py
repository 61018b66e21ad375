"""Choose how the readings become one ranking, and look at each one's score."""

from m3kit import RRF, Document, MemoryIndex, Retriever, WeightedSum
from m3kit.torch import TorchEncoder

encoder = TorchEncoder.from_pretrained("tiny")
retriever = Retriever(encoder, MemoryIndex(encoder.dim))
retriever.add(
    [
        Document("hyperlink", "Insert a hyperlink into the document"),
        Document("bild", "Ein Bild in das Dokument einfügen"),
        Document("print", "Print the document"),
    ]
)

ways = {
    "sparse alone": {"reps": ["sparse"]},
    "dense and sparse by RRF": {"reps": ["dense", "sparse"]},
    "RRF, then ColBERT": {"fusion": RRF(k=60)},
    "M3's weighted sum": {"fusion": WeightedSum(dense=1.0, sparse=0.3, colbert=1.0)},
}
for name, options in ways.items():
    hits = retriever.search("insert picture", k=2, with_scores=True, **options)  # type: ignore[arg-type]  # options of several types
    print(f"{name}:", ", ".join(hit.document.id for hit in hits), sorted(hits[0].scores))

# sparse alone: hyperlink ['sparse']
# dense and sparse by RRF: hyperlink, bild ['dense', 'sparse']
# RRF, then ColBERT: bild, hyperlink ['colbert', 'dense', 'sparse']
# M3's weighted sum: bild, hyperlink ['colbert', 'dense', 'sparse']
