"""FlagEmbedding's class for rerankers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from m3kit.flag.options import Devices, Instruction, device_names, precision
from m3kit.flag.shared import FlagAttributes
from m3kit.torch.cross_encoder import CrossEncoder


class FlagReranker(FlagAttributes):
    """
    BGE's rerankers over XLM-RoBERTa, as `FlagEmbedding.FlagReranker` gives them.

    Ids of a pair are joined as transformers 4 joined them. Without a meaning here: `batch_size`
    (memory is bounded in tokens), `trust_remote_code` (no code of a checkpoint is run);
    `use_fp16` on a CPU, which computes in float32, as FlagEmbedding does.

    Args:
        model_name_or_path: A folder, or a name on the Hugging Face hub.
        use_fp16: Whether an accelerator computes in half precision.
        query_instruction_for_rerank: What goes in front of a query.
        query_instruction_format: A template of the two: `"{}{}"`.
        passage_instruction_for_rerank: What goes in front of a passage.
        passage_instruction_format: Its template.
        trust_remote_code: Not used.
        cache_dir: Where downloads are stored.
        devices: One; the first of those there are, if it is left out.
        batch_size: Not used.
        query_max_length: Tokens of a query; by default three quarters of `max_length`.
        max_length: Tokens of a pair, special ones included.
        normalize: Whether scores are probabilities, not logits.

    Raises:
        CheckpointError: If there is no such checkpoint, or it is not one that can be read.
        ValueError: If several devices are given.
    """

    def __init__(
        self,
        model_name_or_path: str,
        use_fp16: bool = False,
        query_instruction_for_rerank: str | None = None,
        query_instruction_format: str = "{}{}",
        passage_instruction_for_rerank: str | None = None,
        passage_instruction_format: str = "{}{}",
        trust_remote_code: bool = False,
        cache_dir: str | None = None,
        devices: Devices = None,
        batch_size: int = 128,
        query_max_length: int | None = None,
        max_length: int = 512,
        normalize: bool = False,
    ) -> None:
        names = device_names(devices)
        if devices is not None and len(names) > 1:
            raise ValueError(f"a reranker computes on one device here, not on {names}")
        self._queries = Instruction(query_instruction_for_rerank, query_instruction_format)
        self._passages = Instruction(passage_instruction_for_rerank, passage_instruction_format)
        self._reranker = CrossEncoder.from_pretrained(
            model_name_or_path,
            cache_dir=cache_dir,
            device=names[0],
            precision=precision(names[0], use_fp16=use_fp16),
            max_length=max_length,
            query_max_length=query_max_length,
            normalize=normalize,
        )
        self._text_tokenizer, self._devices = self._reranker.tokenizer, names[0]

    def compute_score(
        self,
        sentence_pairs: Sequence[Sequence[str]] | Sequence[str],
        batch_size: int | None = None,
        query_max_length: int | None = None,
        max_length: int | None = None,
        normalize: bool | None = None,
    ) -> list[float]:
        """
        Score pairs of a query and a passage, or one; always a list.

        The limits and `normalize` are by default those of the constructor.
        """
        if not sentence_pairs:
            return []
        single = isinstance(sentence_pairs[0], str)
        pairs: Any = [sentence_pairs] if single else sentence_pairs
        queries, passages = ([pair[n] for pair in pairs] for n in (0, 1))
        return self._reranker.scores(
            list(zip(self._queries.before(queries), self._passages.before(passages), strict=True)),
            max_length=max_length,
            query_max_length=query_max_length,
            normalize=normalize,
        )
