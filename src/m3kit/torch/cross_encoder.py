"""BGE's rerankers in PyTorch: a query and a passage read together, and one score of both."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch

from m3kit._batching import batched, chunked
from m3kit._truncation import Truncation, aggregate_warnings, report
from m3kit.backend.checkpoint import read_checkpoint
from m3kit.backend.files import CheckpointError
from m3kit.backend.locate import locate
from m3kit.backend.packing import Pack
from m3kit.backend.reloading import Reloadable, reloadable
from m3kit.backend.reporting import progress
from m3kit.backend.tokenizer import SPECIAL_TOKENS, TextTokenizer, load_tokenizer
from m3kit.pairs import check_pairs
from m3kit.torch.backbone import Backbone, Linear
from m3kit.torch.devices import batch_tokens as default_tokens
from m3kit.torch.devices import best_device
from m3kit.torch.joining import Joint
from m3kit.torch.kernels import resolve
from m3kit.torch.out_of_memory import in_halves
from m3kit.torch.weights import Weights
from m3kit.vectors import Ints

_HEAD = "classifier.out_proj.weight"
_WINDOW = 1024  # pairs that are sorted by length together


@dataclass(frozen=True, slots=True)
class _Model:
    """XLM-RoBERTa with a score of the first token: `dense`, tanh, `out`."""

    backbone: Backbone
    dense: Linear
    out: Linear

    @torch.inference_mode()
    def __call__(self, texts: Sequence[Ints]) -> list[float]:
        """Score the joined ids of a batch."""
        pack = Pack.of(texts)
        hidden = self.backbone(pack)
        first = hidden[torch.from_numpy(pack.starts).to(hidden.device)]
        scores: list[float] = self.out(torch.tanh(self.dense(first))).squeeze(1).tolist()
        return scores


class CrossEncoder(Reloadable):
    """
    Scores texts for a query; `m3kit.Retriever(…, reranker=CrossEncoder.from_pretrained(…))`.

    Computes the checkpoints of the class XLMRobertaForSequenceClassification with one label:
    `BAAI/bge-reranker-base`, `-large`, `-v2-m3`. Scores equal transformers' own to float32's
    precision; ids are joined as FlagEmbedding joined them before transformers 5. One instance may
    serve many threads. Pairs that are longer than the limit are cut, and a warning on the logger
    `m3kit` says how many, once per call. In other processes it behaves as `TorchEncoder` does.

    Created by `from_pretrained`, which documents the settings.
    """

    def __init__(
        self,
        name: str,
        model: _Model,
        tokenizer: TextTokenizer,
        *,
        max_length: int,
        query_max_length: int | None,
        normalize: bool,
        batch_tokens: int,
        progress: bool,
    ) -> None:
        self._name = name
        self._model = model
        self._tokenizer = tokenizer
        first, last = tokenizer([""], SPECIAL_TOKENS)[0].ids.tolist()
        self._join = Joint(first, last, model.backbone.max_length)
        self._max_length = max_length
        self._query_max_length = query_max_length
        self._normalize = normalize
        self._batch_tokens = batch_tokens
        self._progress = progress
        self._limits(max_length, query_max_length)

    @classmethod
    @reloadable
    def from_pretrained(
        cls,
        model: str | Path,
        *,
        revision: str | None = None,
        cache_dir: str | Path | None = None,
        device: str | None = None,
        precision: str = "fp32",
        max_length: int = 512,
        query_max_length: int | None = None,
        normalize: bool = False,
        batch_tokens: int | None = None,
        progress: bool = False,
    ) -> Self:
        """
        Load a checkpoint: from a folder, or from the Hugging Face hub.

        Args:
            model: A folder, or a name on the hub: `"BAAI/bge-reranker-v2-m3"`.
            revision: Branch, tag or commit on the hub.
            cache_dir: Where downloads are stored, by default the hub's cache.
            device: As PyTorch names it; by default CUDA or MPS where there is one, else the CPU.
            precision: Of the matrix products, as for `TorchEncoder`.
            max_length: Tokens of a pair, the four special ones included; never above the model's
                own limit.
            query_max_length: Tokens of the query among them; by default three quarters.
            normalize: Whether scores are probabilities (the sigmoid), not logits.
            batch_tokens: Tokens in one forward pass; a longer pair is alone in its own. By default
                2,048 on a CPU and 32,768 on an accelerator; what does not fit into its memory is
                computed in halves.
            progress: Whether to show a bar on stderr while scoring and downloading.

        Raises:
            CheckpointError: If there is no such checkpoint, or it is not one that can be read.
            ValueError: If a limit leaves no token, or the device does not compute `precision`.
        """
        name, folder = locate(model, revision=revision, cache_dir=cache_dir, progress=progress)
        checkpoint = read_checkpoint(name, folder)
        place = torch.device(device or best_device())
        weights = Weights(checkpoint.weights_files(), place)
        if checkpoint.model_type != "xlm-roberta" or _HEAD not in weights.names:
            raise CheckpointError(
                f"{folder} is no reranker that this class computes: those are of the class "
                "XLMRobertaForSequenceClassification, as BAAI/bge-reranker-v2-m3"
            )
        backbone = Backbone(weights, checkpoint.config, resolve(precision, place))
        dense = Linear.read(weights, "classifier.dense.", backbone.width, backbone.width)
        out = Linear.read(weights, "classifier.out_proj.", 1, backbone.width)
        return cls(
            f"{name}@{checkpoint.fingerprint()}",
            _Model(backbone, dense, out),
            load_tokenizer(folder, checkpoint.config),
            max_length=max_length,
            query_max_length=query_max_length,
            normalize=normalize,
            batch_tokens=batch_tokens or default_tokens(place),
            progress=progress,
        )

    @property
    def model(self) -> str:
        """The checkpoint's name, and a mark of its content."""
        return self._name

    @property
    def tokenizer(self) -> TextTokenizer:
        """The tokenizer of the model."""
        return self._tokenizer

    def __call__(self, query: str, texts: Sequence[str]) -> list[float]:
        """Score each text for a query, higher is better; as every reranker of m3kit is called."""
        return self.scores([(query, text) for text in texts])

    def scores(
        self,
        pairs: Sequence[Sequence[str]],
        *,
        max_length: int | None = None,
        query_max_length: int | None = None,
        normalize: bool | None = None,
    ) -> list[float]:
        """
        Score pairs of a query and a passage.

        Args:
            pairs: `(query, passage)`, any number of them.
            max_length: For this call, as in `from_pretrained`; so the other two.
            query_max_length: Tokens of the query among them.
            normalize: Whether scores are probabilities.

        Raises:
            TypeError: If something else than two texts is given as a pair.
            ValueError: If a limit leaves no token.
        """
        check_pairs(pairs)
        if query_max_length is None:
            query_max_length = self._query_max_length
        limit, query_limit = self._limits(max_length or self._max_length, query_max_length)
        scores: list[float] = []
        with aggregate_warnings(), progress(total=len(pairs), shown=self._progress) as advance:
            for window in batched(pairs, _WINDOW):
                scores += self._scores(self._joined(window, limit, query_limit))
                advance(len(window))
        probabilities = self._normalize if normalize is None else normalize
        return _sigmoid(scores) if probabilities else scores

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._name!r})"

    def _limits(self, max_length: int, query_max_length: int | None) -> tuple[int, int]:
        limit = min(max_length, self._join.longest)
        query_limit = limit * 3 // 4 if query_max_length is None else query_max_length
        for option, tokens, least in (
            ("max_length", limit, 6),  # four special tokens, and one of each text
            ("query_max_length", query_limit, 1),
        ):
            if tokens < least:
                raise ValueError(f"{option} is at least {least}, not {tokens}")
        return limit, query_limit

    def _joined(self, pairs: Sequence[Sequence[str]], limit: int, query_limit: int) -> list[Ints]:
        queries = dict(self._ids({query for query, _ in pairs}, query_limit))
        passages = dict(self._ids({passage for _, passage in pairs}, limit))
        joined, full = [], []
        for query, passage in pairs:
            query_ids, query_length = queries[query]
            passage_ids, passage_length = passages[passage]
            joined.append(self._join(query_ids, passage_ids, limit))
            full.append(query_length + passage_length + 4)
        cut = sum(len(ids) < tokens for ids, tokens in zip(joined, full, strict=True))
        report(
            Truncation(len(pairs), cut, max(full), limit, "raise max_length or split the passages")
        )
        return joined

    def _ids(self, texts: set[str], limit: int) -> Iterator[tuple[str, tuple[Ints, int]]]:
        """Yield each text with its ids, special ones left out, and how many it has uncut."""
        known = list(texts)
        for text, tokens in zip(known, self._tokenizer(known, limit + SPECIAL_TOKENS), strict=True):
            yield text, (tokens.ids[1:-1], tokens.full - SPECIAL_TOKENS)

    def _scores(self, texts: Sequence[Ints]) -> list[float]:
        def length(number: int) -> int:
            return len(texts[number])

        device = str(self._model.backbone.device)
        scores = dict.fromkeys(range(len(texts)), 0.0)
        longest_first = sorted(scores, key=length, reverse=True)
        for batch in chunked(longest_first, size=length, budget=self._batch_tokens):
            results = in_halves(self._model, [texts[n] for n in batch], device, "max_length")
            scores.update(zip(batch, results, strict=True))
        return list(scores.values())


def _sigmoid(scores: Sequence[float]) -> list[float]:
    logits = np.array(scores, dtype=np.float64)
    small = np.exp(-np.abs(logits))  # never overflows
    return np.where(logits < 0, small / (1 + small), 1 / (1 + small)).tolist()  # type: ignore[no-any-return]  # NumPy says Any
