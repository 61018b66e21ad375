"""FlagEmbedding's class for BGE-M3."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, overload

import numpy as np
import torch
from numpy.typing import NDArray

from m3kit.flag.lexical import (
    LexicalWeights,
    in_reading_order,
    matching_score,
    matching_scores,
    with_tokens,
)
from m3kit.flag.options import Devices, Instruction, load, truncated
from m3kit.flag.shared import FlagAttributes
from m3kit.pairs import score_pairs
from m3kit.scoring import maxsim, require
from m3kit.vectors import REPS, Floats, M3Output, Rep


class BGEM3FlagModel(FlagAttributes):
    """
    BGE-M3, as `FlagEmbedding.BGEM3FlagModel` gives it.

    Without a meaning here: `batch_size` (memory is bounded in tokens), `trust_remote_code` (no
    code of a checkpoint is run), `convert_to_numpy` (always); `use_fp16` and `use_bf16` on a CPU,
    which computes in float32, as FlagEmbedding does. Vectors are always returned in float32.

    Args:
        model_name_or_path: A folder, or a name on the Hugging Face hub.
        normalize_embeddings: Only True: vectors have unit length.
        use_fp16: Whether an accelerator computes in half precision.
        use_bf16: Whether it takes bfloat16 for it.
        query_instruction_for_retrieval: What `encode_queries` puts in front of a query.
        query_instruction_format: A template of the two: `"{}{}"`.
        devices: One or several; a text list is divided among them.
        pooling_method: `"cls"` or `"mean"`.
        trust_remote_code: Not used.
        cache_dir: Where downloads are stored.
        colbert_dim: -1, or the width that the checkpoint has.
        batch_size: Not used.
        query_max_length: Tokens of a query, special ones included.
        passage_max_length: Tokens of any other text.
        return_dense: The default of the `encode` methods.
        return_sparse: The same.
        return_colbert_vecs: The same.
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
        pooling_method: str = "cls",
        trust_remote_code: bool = False,
        cache_dir: str | None = None,
        colbert_dim: int = -1,
        batch_size: int = 256,
        query_max_length: int = 512,
        passage_max_length: int = 512,
        return_dense: bool = True,
        return_sparse: bool = False,
        return_colbert_vecs: bool = False,
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
        if missing := [rep for rep in REPS if rep not in self._encoder.reps]:
            raise ValueError(
                f"{model_name_or_path} has no heads for {' and '.join(missing)}; use FlagModel"
            )
        if colbert_dim not in (-1, self._encoder.dim):
            raise ValueError(f"colbert_dim is {self._encoder.dim} here, not {colbert_dim}")
        self._text_tokenizer, self._devices = self._encoder.tokenizer, devices
        self._queries = Instruction(query_instruction_for_retrieval, query_instruction_format)
        self._passages = Instruction(passage_instruction_for_retrieval, passage_instruction_format)
        self.query_max_length = query_max_length
        self.passage_max_length = passage_max_length
        self.return_dense = return_dense
        self.return_sparse = return_sparse
        self.return_colbert_vecs = return_colbert_vecs
        self.truncate_dim = truncate_dim

    def encode_queries(
        self,
        queries: Sequence[str] | str,
        batch_size: int | None = None,
        max_length: int | None = None,
        return_dense: bool | None = None,
        return_sparse: bool | None = None,
        return_colbert_vecs: bool | None = None,
        *,
        convert_to_numpy: bool | None = None,
    ) -> dict[str, Any]:
        """Encode with the instruction for queries, cut to `query_max_length`; see `encode`."""
        return self.encode(
            self._queries.before(queries),
            batch_size,
            max_length or self.query_max_length,
            return_dense,
            return_sparse,
            return_colbert_vecs,
            convert_to_numpy=convert_to_numpy,
        )

    def encode_corpus(
        self,
        corpus: Sequence[str] | str,
        batch_size: int | None = None,
        max_length: int | None = None,
        return_dense: bool | None = None,
        return_sparse: bool | None = None,
        return_colbert_vecs: bool | None = None,
        *,
        convert_to_numpy: bool | None = None,
    ) -> dict[str, Any]:
        """Encode with the instruction for passages, if there is one; see `encode`."""
        return self.encode(
            self._passages.before(corpus),
            batch_size,
            max_length,
            return_dense,
            return_sparse,
            return_colbert_vecs,
            convert_to_numpy=convert_to_numpy,
        )

    def encode(
        self,
        sentences: Sequence[str] | str,
        batch_size: int | None = None,
        max_length: int | None = None,
        return_dense: bool | None = None,
        return_sparse: bool | None = None,
        return_colbert_vecs: bool | None = None,
        *,
        convert_to_numpy: bool | None = None,
    ) -> dict[str, Any]:
        """
        Encode texts as they are, or one.

        Returns:
            `dense_vecs`, shape `(texts, dim)`; `lexical_weights`, a dict from token ids as str to
            Python's floats for each text; `colbert_vecs`, an array of shape `(tokens, dim)` for
            each text. None for what is not requested; for a single text, no list around each.

        Raises:
            ValueError: If nothing is requested.
        """
        chosen = {
            "dense": self.return_dense if return_dense is None else return_dense,
            "sparse": self.return_sparse if return_sparse is None else return_sparse,
            "colbert": (
                self.return_colbert_vecs if return_colbert_vecs is None else return_colbert_vecs
            ),
        }
        reps: list[Rep] = [rep for rep in REPS if chosen[rep]]
        if not reps:
            raise ValueError("ask for one of return_dense, return_sparse and return_colbert_vecs")
        single = isinstance(sentences, str)
        texts = [sentences] if isinstance(sentences, str) else list(sentences)
        limit = max_length or self.passage_max_length
        outputs = list(self._encoder.encode(texts, reps, max_length=limit))
        made: dict[str, Any] = {
            "dense_vecs": self._dense(outputs) if chosen["dense"] else None,
            "lexical_weights": self._lexical(texts, limit, outputs) if chosen["sparse"] else None,
            "colbert_vecs": self._colbert(outputs) if chosen["colbert"] else None,
        }
        if single:
            return {key: None if value is None else value[0] for key, value in made.items()}
        return made

    def convert_id_to_token(
        self, lexical_weights: Mapping[str, float] | Sequence[Mapping[str, float]]
    ) -> dict[str, float] | list[dict[str, float]]:
        """
        Put each token's text in place of its id: `{"What": 0.08, "B": 0.13}`.

        Where two tokens of a text read alike, both are given in the vocabulary's spelling, `▁B`
        and `B`. One dict, or a list of one, gives one dict; other lists a list.
        """
        several = (
            [lexical_weights] if isinstance(lexical_weights, Mapping) else list(lexical_weights)
        )
        made = [with_tokens(weights, self._encoder.tokenizer) for weights in several]
        return made[0] if len(made) == 1 else made

    @overload
    def compute_lexical_matching_score(
        self, lexical_weights_1: Mapping[str, float], lexical_weights_2: Mapping[str, float]
    ) -> float: ...

    @overload
    def compute_lexical_matching_score(
        self,
        lexical_weights_1: Sequence[Mapping[str, float]],
        lexical_weights_2: Sequence[Mapping[str, float]],
    ) -> NDArray[np.float64]: ...

    def compute_lexical_matching_score(
        self,
        lexical_weights_1: Mapping[str, float] | Sequence[Mapping[str, float]],
        lexical_weights_2: Mapping[str, float] | Sequence[Mapping[str, float]],
    ) -> float | NDArray[np.float64]:
        """
        Score two texts' weights; or those of two lists, each with each, shape `(first, second)`.

        Raises:
            ValueError: If one is a dict and the other a list.
        """
        first, second = lexical_weights_1, lexical_weights_2
        if isinstance(first, Mapping) and isinstance(second, Mapping):
            return matching_score(first, second)
        if isinstance(first, Mapping) or isinstance(second, Mapping):
            raise ValueError("give the weights of two texts, or two lists of them")  # noqa: TRY004  # as FlagEmbedding
        return matching_scores(first, second)

    def colbert_score(self, q_reps: Floats, p_reps: Floats) -> torch.Tensor:
        """Score a passage's ColBERT vectors for a query's, each of shape `(tokens, dim)`."""
        return torch.tensor(maxsim(q_reps, [p_reps])[0])

    def compute_score(
        self,
        sentence_pairs: Sequence[Sequence[str]] | Sequence[str],
        batch_size: int | None = None,
        max_query_length: int | None = None,
        max_passage_length: int | None = None,
        weights_for_different_modes: Sequence[float] | None = None,
    ) -> dict[str, Any] | list[Any]:
        """
        Score pairs of a query and a passage, or one, in five ways; see `m3kit.pairs.score_pairs`.

        Args:
            sentence_pairs: `[query, passage]`, or a list of such.
            batch_size: Not used.
            max_query_length: By default `query_max_length`.
            max_passage_length: By default `passage_max_length`.
            weights_for_different_modes: Of dense, sparse and ColBERT; by default 1 each.

        Returns:
            A list for each of `colbert`, `sparse`, `dense`, `sparse+dense` and
            `colbert+sparse+dense`; for one pair a number for each; for no pairs `[]`.
        """
        if not sentence_pairs:
            return []
        single = isinstance(sentence_pairs[0], str)
        pairs: Any = [sentence_pairs] if single else sentence_pairs
        scores = score_pairs(
            self._encoder,
            pairs,
            weights=weights_for_different_modes,
            max_query_length=max_query_length or self.query_max_length,
            max_passage_length=max_passage_length or self.passage_max_length,
        )
        return {mode: values[0] if single else values for mode, values in scores.items()}

    def _dense(self, outputs: Sequence[M3Output]) -> Floats:
        rows = [require(output.dense, "dense") for output in outputs]
        dense = np.stack(rows) if rows else np.zeros((0, self._encoder.dim), dtype=np.float32)
        return truncated(dense, self.truncate_dim)

    def _lexical(
        self, texts: Sequence[str], limit: int, outputs: Sequence[M3Output]
    ) -> list[LexicalWeights]:
        tokens = self._encoder.tokenizer(texts, limit) if texts else []
        return [
            in_reading_order(require(output.sparse, "sparse"), ids)
            for output, (ids, _) in zip(outputs, tokens, strict=True)
        ]

    def _colbert(self, outputs: Sequence[M3Output]) -> list[Floats]:
        vectors = (require(output.colbert, "colbert") for output in outputs)
        return [truncated(rows, self.truncate_dim) for rows in vectors]
