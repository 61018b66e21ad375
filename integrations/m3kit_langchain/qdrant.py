"""M3's lexical weights for `langchain_qdrant.QdrantVectorStore`."""

from __future__ import annotations

from langchain_qdrant import SparseEmbeddings, SparseVector

from m3kit.encoder import Encoder
from m3kit.scoring import require
from m3kit.vectors import M3Output


class QdrantSparse(SparseEmbeddings):
    """
    The sparse side of an encoder, for a store that has its dense side from `M3Embeddings`.

    Both over one `m3kit.CachedEncoder(…, reps=("dense", "sparse"))` encode each text once:

        QdrantVectorStore(
            client, "papers", retrieval_mode=RetrievalMode.HYBRID,
            embedding=M3Embeddings(encoder=encoder), sparse_embedding=QdrantSparse(encoder),
        )
    """

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder

    def embed_documents(self, texts: list[str]) -> list[SparseVector]:
        """Embed what is searched."""
        return [_to_qdrant(one) for one in self._encoder.encode_documents(texts, ["sparse"])]

    def embed_query(self, text: str) -> SparseVector:
        """Embed what is asked."""
        (output,) = self._encoder.encode_queries([text], ["sparse"])
        return _to_qdrant(output)


def _to_qdrant(output: M3Output) -> SparseVector:
    sparse = require(output.sparse, "sparse")
    return SparseVector(indices=sparse.ids.tolist(), values=sparse.weights.tolist())
