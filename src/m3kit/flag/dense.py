"""FlagEmbedding's class for models of dense vectors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from m3kit.flag.options import Devices, Instruction, load, truncated
from m3kit.flag.shared import FlagAttributes
from m3kit.scoring import require
from m3kit.vectors import Floats


class FlagModel(FlagAttributes):
    """
    BGE v1 and v1.5 and other dense models, as `FlagEmbedding.FlagModel` gives them.

    Without a meaning here: `batch_size` (memory is bounded in tokens), `trust_remote_code` (no
    code of a checkpoint is run); `use_fp16` and `use_bf16` on a CPU, which computes in float32,
    as FlagEmbedding does. Vectors are always returned in float32.

    Args:
        model_name_or_path: A folder, or a name on the Hugging Face hub.
        normalize_embeddings: Only True: vectors have unit length.
        use_fp16: Whether an accelerator computes in half precision.
        use_bf16: Whether it takes bfloat16 for it.
        query_instruction_for_retrieval: What `encode_queries` puts in front of a query; nothing
            by default, while `TorchEncoder` knows what BGE's models were trained with.
        query_instruction_format: A template of the two: `"{}{}"`.
        devices: One or several; a text list is divided among them.
        pooling_method: `"cls"` or `"mean"`; None for that of sentence-transformers' files.
        trust_remote_code: Not used.
        cache_dir: Where downloads are stored.
        batch_size: Not used.
        query_max_length: Tokens of a query, special ones included.
        passage_max_length: Tokens of any other text.
        convert_to_numpy: Whether vectors are arrays, or tensors.
        truncate_dim: To how many numbers vectors are cut, if at all.
        passage_instruction_for_retrieval: What `encode_corpus` puts in front of a text.
        passage_instruction_format: Its template.

    Raises:
        CheckpointError: If there is no such checkpoint, or it is not one that can be read.
        ValueError: If an argument asks for what is not computed here.
    """

    def __init__(
        self,
        model_name_or_path: str,
        normalize_embeddings: bool = True,
        use_fp16: bool = True,
        use_bf16: bool = False,
        query_instruction_for_retrieval: str | None = None,
        query_instruction_format: str = "{}{}",
        devices: Devices = None,
        pooling_method: str | None = "cls",
        trust_remote_code: bool = False,
        cache_dir: str | None = None,
        batch_size: int = 256,
        query_max_length: int = 512,
        passage_max_length: int = 512,
        convert_to_numpy: bool = True,
        truncate_dim: int | None = None,
        *,
        passage_instruction_for_retrieval: str | None = None,
        passage_instruction_format: str = "{}{}",
    ) -> None:
        self._encoder = load(
            model_name_or_path,
            devices=devices,
            use_fp16=use_fp16,
            use_bf16=use_bf16,
            normalize_embeddings=normalize_embeddings,
            pooling_method=pooling_method,
            cache_dir=cache_dir,
        )
        self._text_tokenizer, self._devices = self._encoder.tokenizer, devices
        self._queries = Instruction(query_instruction_for_retrieval, query_instruction_format)
        self._passages = Instruction(passage_instruction_for_retrieval, passage_instruction_format)
        self.query_max_length = query_max_length
        self.passage_max_length = passage_max_length
        self.convert_to_numpy = convert_to_numpy
        self.truncate_dim = truncate_dim

    def encode_queries(
        self,
        queries: Sequence[str] | str,
        batch_size: int | None = None,
        max_length: int | None = None,
        convert_to_numpy: bool | None = None,
    ) -> Floats | torch.Tensor:
        """Encode with the instruction for queries, cut to `query_max_length`; see `encode`."""
        limit = max_length or self.query_max_length
        return self.encode(self._queries.before(queries), batch_size, limit, convert_to_numpy)

    def encode_corpus(
        self,
        corpus: Sequence[str] | str,
        batch_size: int | None = None,
        max_length: int | None = None,
        convert_to_numpy: bool | None = None,
    ) -> Floats | torch.Tensor:
        """Encode with the instruction for passages, if there is one; see `encode`."""
        texts = self._passages.before(corpus)
        return self.encode(texts, batch_size, max_length, convert_to_numpy)

    def encode(
        self,
        sentences: Sequence[str] | str,
        batch_size: int | None = None,
        max_length: int | None = None,
        convert_to_numpy: bool | None = None,
    ) -> Floats | torch.Tensor:
        """
        Encode texts as they are, or one.

        Returns:
            Shape `(texts, dim)`, and for one text `(dim,)`.
        """
        texts = [sentences] if isinstance(sentences, str) else list(sentences)
        limit = max_length or self.passage_max_length
        outputs = self._encoder.encode(texts, ["dense"], max_length=limit)
        rows = [require(output.dense, "dense") for output in outputs]
        dense = np.stack(rows) if rows else np.zeros((0, self._encoder.dim), dtype=np.float32)
        made = truncated(dense, self.truncate_dim)
        made = made[0] if isinstance(sentences, str) else made
        as_array = self.convert_to_numpy if convert_to_numpy is None else convert_to_numpy
        return made if as_array else torch.from_numpy(made)
