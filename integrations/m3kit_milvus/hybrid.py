"""
`BGEM3EmbeddingFunction` by name, as a drop-in for that of `pymilvus.model.hybrid`.

The published tutorials of Milvus run with their import changed to this module. It is the one module
of a store that knows a model, and needs m3kit's extra `torch`.
"""

from __future__ import annotations

from typing import Any

from m3kit.vectors import Rep
from m3kit_milvus.embedding import M3EmbeddingFunction

__all__ = ["BGEM3EmbeddingFunction"]


class BGEM3EmbeddingFunction(M3EmbeddingFunction):
    """
    An `M3EmbeddingFunction` that loads its model.

    Args:
        model_name: A folder, a name on the Hugging Face hub, or `"tiny"`.
        batch_size: How many texts are encoded at once.
        device: As PyTorch names it; by default CUDA or MPS where there is one.
        normalize_embeddings: True; M3's vectors are of length one.
        use_fp16: Whether an accelerator computes in half precision; a CPU computes in float32.
        return_dense: Whether to return dense vectors.
        return_sparse: Whether to return lexical weights.
        return_colbert_vecs: Whether to return ColBERT vectors.
        max_length: Tokens of a text, special ones included; by default M3's 8,192 for a document
            and 512 for a query.
        trust_remote_code: Not used: no code of a checkpoint is run.
        **options: More of `m3kit.torch.TorchEncoder.from_pretrained`.

    Raises:
        ValueError: If vectors of another length are asked for.
        CheckpointError: If there is no such model.
    """

    def __init__(  # noqa: PLR0917  # as pymilvus.model's
        self,
        model_name: str = "BAAI/bge-m3",
        batch_size: int = 16,
        device: str | None = None,
        normalize_embeddings: bool = True,  # noqa: FBT001, FBT002  # positional there
        use_fp16: bool = True,  # noqa: FBT001, FBT002
        return_dense: bool = True,  # noqa: FBT001, FBT002
        return_sparse: bool = True,  # noqa: FBT001, FBT002
        return_colbert_vecs: bool = False,  # noqa: FBT001, FBT002
        *,
        max_length: int | None = None,
        trust_remote_code: bool = False,  # noqa: ARG002
        **options: Any,
    ) -> None:
        from m3kit.torch import TorchEncoder
        from m3kit.torch.devices import best_device

        if not normalize_embeddings:
            raise ValueError("vectors are of length one; leave normalize_embeddings out")
        if max_length is not None:
            limits = {"query_max_length": max_length, "document_max_length": max_length}
            options = limits | options
        is_cpu = (device or best_device()).startswith("cpu")
        options = {"precision": "fp16" if use_fp16 and not is_cpu else "fp32"} | options
        returned: dict[Rep, bool] = {
            "dense": return_dense, "sparse": return_sparse, "colbert": return_colbert_vecs
        }  # fmt: skip
        super().__init__(
            TorchEncoder.from_pretrained(model_name, device=device, **options),
            reps=[rep for rep, wanted in returned.items() if wanted],
            batch_size=batch_size,
        )
