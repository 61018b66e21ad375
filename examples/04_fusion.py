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
    "M3's weighted sum, the default": {"fusion": WeightedSum(dense=1.0, sparse=0.3, colbert=1.0)},
    "RRF of dense and sparse": {"reps": ["dense", "sparse"], "fusion": RRF(k=60)},
    "RRF, sparse counting less": {"fusion": RRF(weights={"sparse": 0.3})},
    "RRF, then ColBERT": {"fusion": "rrf"},
}
for name, options in searches.items():
    hits = retriever.search("insert picture", k=2, with_scores=True, **options)  # type: ignore[arg-type]  # options of several types
    print(f"{name}:", ", ".join(hit.document.id for hit in hits), sorted(hits[0].scores))

# sparse only: hyperlink ['sparse']
# M3's weighted sum, the default: bild, hyperlink ['colbert', 'dense', 'sparse']
# RRF of dense and sparse: hyperlink, bild ['dense', 'sparse']
# RRF, sparse counting less: bild, hyperlink ['colbert', 'dense', 'sparse']
# RRF, then ColBERT: bild, hyperlink ['colbert', 'dense', 'sparse']
