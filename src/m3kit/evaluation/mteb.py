"""
MTEB's own tasks on m3kit: any encoder, any index, any mode.

    import mteb
    from m3kit.evaluation.mteb import M3Model

    mteb.evaluate(M3Model(encoder), mteb.get_tasks(["MIRACLRetrieval", "STS22.v2"]))

Retrieval and reranking tasks are answered by an index, in the mode that is chosen; all others, such
as STS and classification, by the dense vectors. Needs `pip install mteb`, version 2.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import Any, TypeAlias

import numpy as np
from mteb._create_dataloaders import create_dataloader
from mteb.models.model_meta import ModelMeta, ScoringFunction
from mteb.similarity_functions import dot_score, pairwise_dot_score
from mteb.types import PromptType

from m3kit.encoder import Encoder
from m3kit.evaluation.modes import MODES, Mode, modes_for
from m3kit.evaluation.trec import falling
from m3kit.filters import Ids
from m3kit.index import HybridIndex, Search
from m3kit.memory import MemoryIndex
from m3kit.records import Document, Record
from m3kit.scoring import require
from m3kit.vectors import Floats, M3Output

OpenIndex: TypeAlias = Callable[[str], AbstractContextManager[HybridIndex]]
"""Opens an index for a task: `lambda name: open_index(name, encoder=encoder)`."""


class M3Model:
    """
    An encoder, and an index for it, as MTEB's `EncoderProtocol` and `SearchProtocol`.

    Args:
        encoder: What makes the vectors.
        mode: How retrieval and reranking tasks are searched; by default all representations.
        open_index: Where they are searched: an index for each task, which is closed after it. By
            default `MemoryIndex`, the exact oracle.
        candidates: See `m3kit.Search`.

    Raises:
        EvaluationError: If the encoder does not make what the mode needs.
    """

    def __init__(
        self,
        encoder: Encoder,
        *,
        mode: Mode = MODES["all"],
        open_index: OpenIndex | None = None,
        candidates: int = 100,
    ) -> None:
        (self._mode,) = modes_for([mode], {}, encoder.reps)
        self._encoder = encoder
        self._open = open_index or self._memory
        self._candidates = candidates
        self._index: HybridIndex | None = None
        self._resources = ExitStack()
        name, _, fingerprint = (encoder.model or "unknown").rpartition("@")
        self.mteb_model_meta = ModelMeta.create_empty(
            overwrites={
                "name": name if "/" in name else f"m3kit/{name or fingerprint}",
                "revision": fingerprint,
                "embed_dim": encoder.dim,
                "similarity_fn_name": ScoringFunction.DOT_PRODUCT,
                "experiment_kwargs": {"mode": mode.name},
            }
        )
        """The model, its fingerprint as revision, and the mode: MTEB caches results by these."""

    def encode(
        self,
        inputs: Iterable[Mapping[str, Any]],
        *,
        prompt_type: PromptType | None = None,
        **_: Any,
    ) -> Floats:
        """Encode batches of texts by their dense vectors, shape `(texts, dim)`."""
        is_query = prompt_type == PromptType.query
        encode = self._encoder.encode_queries if is_query else self._encoder.encode_documents
        outputs = [output for batch in inputs for output in encode(batch["text"], ["dense"])]
        return np.stack([require(output.dense, "dense") for output in outputs])

    def similarity(self, embeddings1: Any, embeddings2: Any) -> Any:
        """Score all pairs; the cosine, since dense vectors have unit norm."""
        return dot_score(embeddings1, embeddings2)

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> Any:
        """Score the vectors at the same place."""
        return pairwise_dot_score(embeddings1, embeddings2)

    def index(
        self,
        corpus: Any,
        *,
        task_metadata: Any,
        hf_split: str,
        hf_subset: str,
        encode_kwargs: Mapping[str, Any],
        num_proc: int | None = None,
        **_: Any,
    ) -> None:
        """Write a task's corpus to an index."""
        self._resources.close()
        name = re.sub(r"\W", "_", f"{task_metadata.name}_{hf_subset}_{hf_split}", flags=re.ASCII)
        index = self._index = self._resources.enter_context(self._open(name))
        batches = create_dataloader(
            corpus,
            task_metadata=task_metadata,
            prompt_type=PromptType.document,
            num_proc=num_proc,
            batch_size=encode_kwargs.get("batch_size", 32),
        )
        ids = iter(corpus["id"])
        for batch in batches:
            texts = batch["text"]
            outputs = self._encoder.encode_documents(texts, index.reps)
            index.upsert(
                [
                    Record(Document(str(next(ids)), text), output)
                    for text, output in zip(texts, outputs, strict=True)
                ]
            )
        index.flush()

    def search(
        self,
        queries: Any,
        *,
        task_metadata: Any,
        top_k: int,
        encode_kwargs: Mapping[str, Any],
        top_ranked: Mapping[str, list[str]] | None = None,
        num_proc: int | None = None,
        **_: Any,
    ) -> dict[str, dict[str, float]]:
        """
        Search a task's queries; of a reranking task, among each query's own documents.

        Raises:
            RuntimeError: If no corpus was indexed before.
        """
        if self._index is None:
            raise RuntimeError("call index() with a corpus before search()")
        batches = create_dataloader(
            queries,
            task_metadata=task_metadata,
            prompt_type=PromptType.query,
            num_proc=num_proc,
            batch_size=encode_kwargs.get("batch_size", 32),
        )
        texts = [text for batch in batches for text in batch["text"]]
        outputs = self._encoder.encode_queries(texts, list(self._mode.reps))
        results = {
            query: self._ranked(self._index, output, query, top_k, top_ranked)
            for query, output in zip(map(str, queries["id"]), outputs, strict=True)
        }
        self._resources.close()
        self._index = None
        return results

    def _ranked(
        self,
        index: HybridIndex,
        output: M3Output,
        query: str,
        top_k: int,
        top_ranked: Mapping[str, list[str]] | None,
    ) -> dict[str, float]:
        among = None if top_ranked is None else tuple(top_ranked.get(query, ()))
        if among == ():
            return {}
        hits = index.search(
            Search(
                query=output,
                k=top_k if among is None else len(among),
                where=None if among is None else Ids(among),
                fusion=self._mode.fusion,
                candidates=self._candidates,
            )
        )[:top_k]
        scores = falling(hit.score for hit in hits)  # MTEB orders by scores, and ties by ids
        return {hit.document.id: score for hit, score in zip(hits, scores, strict=True)}

    def _memory(self, _: str) -> AbstractContextManager[HybridIndex]:
        return nullcontext(MemoryIndex(encoder=self._encoder, reps=self._mode.reps))
