"""M3's lexical weights for `langchain_qdrant.QdrantVectorStore`."""

from __future__ import annotations

from langchain_qdrant import SparseEmbeddings, SparseVector

from m3kit.encoder import Encoder
from m3kit.scoring import require
from m3kit.vectors import M3Output


class QdrantSparse(SparseEmbeddings):
    """
    An encoder's sparse vectors, for a store whose dense vectors come from `M3Embeddings`.

    With a shared `m3kit.CachedEncoder(…, reps=("dense", "sparse"))` each text is encoded once:

        QdrantVectorStore(
            client, "papers", retrieval_mode=RetrievalMode.HYBRID,
            embedding=M3Embeddings(encoder=encoder), sparse_embedding=QdrantSparse(encoder),
        )
    """

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder

    def embed_documents(self, texts: list[str]) -> list[SparseVector]:
        """Embed texts to be searched."""
        return [_to_qdrant(output) for output in self._encoder.encode_documents(texts, ["sparse"])]

    def embed_query(self, text: str) -> SparseVector:
        """Embed a query."""
        (output,) = self._encoder.encode_queries([text], ["sparse"])
        return _to_qdrant(output)


def _to_qdrant(output: M3Output) -> SparseVector:
    sparse = require(output.sparse, "sparse")
    return SparseVector(indices=sparse.ids.tolist(), values=sparse.weights.tolist())
