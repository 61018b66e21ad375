"""Choose how the representations are fused, and see the score of each."""

from m3kit import RRF, Document, MemoryIndex, Retriever, WeightedSum
from m3kit.torch import TorchEncoder

encoder = TorchEncoder.from_pretrained("tiny")
retriever = Retriever(encoder, MemoryIndex(encoder=encoder))
retriever.add(
    [
        Document("hyperlink", "Insert a hyperlink into the document"),
        Document("bild", "Ein Bild in das Dokument einfügen"),
        Document("print", "Print the document"),
    ]
)

searches = {
    "sparse only": {"reps": ["sparse"]},
    "dense and sparse by RRF": {"reps": ["dense", "sparse"]},
    "RRF, then ColBERT": {"fusion": RRF(k=60)},
    "M3's weighted sum": {"fusion": WeightedSum(dense=1.0, sparse=0.3, colbert=1.0)},
}
for name, options in searches.items():
    hits = retriever.search("insert picture", k=2, with_scores=True, **options)  # type: ignore[arg-type]  # options of several types
    print(f"{name}:", ", ".join(hit.document.id for hit in hits), sorted(hits[0].scores))

# sparse only: hyperlink ['sparse']
# dense and sparse by RRF: hyperlink, bild ['dense', 'sparse']
# RRF, then ColBERT: bild, hyperlink ['colbert', 'dense', 'sparse']
# M3's weighted sum: bild, hyperlink ['colbert', 'dense', 'sparse']
