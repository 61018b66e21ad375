"""M3's lexical weights for `langchain_milvus.Milvus`."""

from __future__ import annotations

from langchain_milvus.utils.sparse import BaseSparseEmbedding

from m3kit.encoder import Encoder
from m3kit.scoring import require
from m3kit.vectors import M3Output

_NOTHING = {2**32 - 2: 1e-6}
"""The last token id that Milvus takes."""


class MilvusSparse(BaseSparseEmbedding):
    """
    An encoder's sparse vectors, for a store whose dense vectors come from `M3Embeddings`.

    With a shared `m3kit.CachedEncoder(…, reps=("dense", "sparse"))` each text is encoded once:

        Milvus(
            embedding_function=[M3Embeddings(encoder=encoder), MilvusSparse(encoder)],
            vector_field=["dense", "sparse"],
            index_params=[
                {"metric_type": "IP", "index_type": "FLAT"},
                {"metric_type": "IP", "index_type": "SPARSE_INVERTED_INDEX"},
            ],
            auto_id=True,
            connection_args={"uri": "papers.db"},
        )

    A text without a lexical weight has a negligible one for a token that no text has, since Milvus
    takes no sparse vector without any.
    """

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder

    def embed_documents(self, texts: list[str]) -> list[dict[int, float]]:
        """Embed texts to be searched."""
        return [_to_milvus(output) for output in self._encoder.encode_documents(texts, ["sparse"])]

    def embed_query(self, query: str) -> dict[int, float]:
        """Embed a query."""
        (output,) = self._encoder.encode_queries([query], ["sparse"])
        return _to_milvus(output)


def _to_milvus(output: M3Output) -> dict[int, float]:
    return require(output.sparse, "sparse").to_dict() or dict(_NOTHING)
