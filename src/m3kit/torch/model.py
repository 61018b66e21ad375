"""Backbone and heads: token ids in, `M3Output`s out, from one forward pass."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  # PyTorch's own name for it

from m3kit.backend.checkpoint import Checkpoint, Pooling
from m3kit.backend.files import CheckpointError
from m3kit.backend.lexical import lexical_weights
from m3kit.backend.mcls import cls_rows, insert_cls, longest_text, without_inner_cls
from m3kit.backend.packing import Pack
from m3kit.backend.tokenizer import TextTokenizer
from m3kit.torch.backbone import Backbone, Linear
from m3kit.torch.devices import on_own_stream, to_host
from m3kit.torch.kernels import Kernel, Precision
from m3kit.torch.lexical import reduce_on_device
from m3kit.torch.weights import Weights, check_finite
from m3kit.vectors import REPS, Floats, Ints, M3Output, Rep, Sparse


@dataclass(frozen=True, slots=True)
class Model:
    """
    What a checkpoint computes.

    Args:
        backbone: The transformer.
        pooling: Where the dense vector comes from.
        heads: The sparse and the ColBERT head, in float32; None for a dense-only model.
        unweighted: Ids of special tokens, which have no lexical weight.
        cls_every: Tokens to a CLS, where a text has several, see `m3kit.backend.mcls`.
    """

    backbone: Backbone
    pooling: Pooling
    heads: tuple[Kernel, Kernel] | None
    unweighted: Ints
    cls_every: int | None = None

    @property
    def width(self) -> int:
        """Width of the dense vector."""
        return self.backbone.width

    @property
    def max_length(self) -> int:
        """How many tokens a text may have, special ones included."""
        longest = self.backbone.max_length
        return longest if self.cls_every is None else longest_text(longest, self.cls_every)

    @property
    def reps(self) -> frozenset[Rep]:
        """All three, or dense alone where there are no heads."""
        return frozenset(REPS if self.heads else ("dense",))

    @torch.inference_mode()
    def __call__(self, texts: Sequence[Ints], reps: Collection[Rep]) -> list[M3Output]:
        """Encode texts in one pass, computing `reps` and nothing else."""
        with on_own_stream(self.backbone.device):
            if self.cls_every is None:
                pack = Pack.of(texts)
                hidden = self.backbone(pack)
                pooled = _pooled(hidden, pack, self.pooling) if "dense" in reps else None
                return self._outputs(hidden, slice(len(pack.ids)), pack, pooled, reps)
            return self._with_inner_cls(texts, self.cls_every, reps)

    def _with_inner_cls(
        self, texts: Sequence[Ints], cls_every: int, reps: Collection[Rep]
    ) -> list[M3Output]:
        pack = Pack.of([insert_cls(ids, cls_every) for ids in texts])
        hidden = self.backbone(pack)
        rows = cls_rows(pack, cls_every)
        pooled = _means(hidden, rows) if "dense" in reps else None
        left, inside = without_inner_cls(pack, rows)
        return self._outputs(hidden, torch.from_numpy(left).to(hidden.device), inside, pooled, reps)

    def _outputs(
        self,
        hidden: torch.Tensor,
        rows: slice | torch.Tensor,
        pack: Pack,
        pooled: torch.Tensor | None,
        reps: Collection[Rep],
    ) -> list[M3Output]:
        """Compute the heads; `pack` has the tokens of `rows` of the hidden states."""
        nothing = [None] * len(pack.lengths)
        dense = nothing if pooled is None else to_host(F.normalize(pooled, dim=-1))
        sparse: Sequence[Sparse | None] = nothing
        colbert: Sequence[Floats | None] = nothing
        if self.heads and "sparse" in reps:
            weights = torch.relu(self.heads[0](hidden)).squeeze(1)[rows]
            sparse = _sparse(weights, pack, self.unweighted)
        if self.heads and "colbert" in reps:
            vectors = F.normalize(self.heads[1](hidden), dim=-1)[rows]
            colbert = _colbert(vectors.to(self.backbone.carried), pack)
        return [
            M3Output(dense=d, sparse=s, colbert=c)
            for d, s, c in zip(dense, sparse, colbert, strict=True)
        ]


def load_model(
    checkpoint: Checkpoint,
    tokenizer: TextTokenizer,
    device: torch.device,
    precision: Precision = "fp32",
    *,
    cls_every: int | None = None,
) -> Model:
    """
    Read the weights that belong to a tokenizer.

    Raises:
        CheckpointError: If something is missing or does not fit together.
        ValueError: If this build of PyTorch does not compute in that precision, or there are to be
            several CLS tokens in a model that pools otherwise.
    """
    if cls_every is not None and checkpoint.pooling() != "cls":
        raise ValueError(
            f"cls_every takes the mean of CLS tokens, and {checkpoint.name} pools by "
            f"{checkpoint.pooling()}; leave it out"
        )
    backbone = Backbone(Weights(checkpoint.weights_files(), device), checkpoint.config, precision)
    if tokenizer.vocab_size > backbone.vocab_size:
        raise CheckpointError(
            f"the tokenizer in {checkpoint.folder} gives {tokenizer.vocab_size} ids, and the "
            f"weights know {backbone.vocab_size}; they belong to different models"
        )
    heads = None
    if files := checkpoint.head_files():
        sparse, colbert = (Weights([file], device) for file in files)
        width = backbone.width
        heads = _head(sparse, 1, width), _head(colbert, -1, width)
    if device.type == "cuda":
        torch.cuda.synchronize(device)  # other streams may read the weights from here on
    return Model(backbone, checkpoint.pooling(), heads, tokenizer.unweighted, cls_every)


def _head(weights: Weights, outputs: int, width: int) -> Kernel:
    head = Linear.read(weights, "", outputs, width)
    check_finite(f"weight in {weights.path}", head.weight)
    return head.packed()


def _pooled(hidden: torch.Tensor, pack: Pack, pooling: Pooling) -> torch.Tensor:
    if pooling == "cls":
        return hidden[torch.from_numpy(pack.starts).to(hidden.device)]
    blocks = [hidden[run.rows].view(run.count, run.length, -1) for run in pack.runs]
    return torch.cat([block.mean(1) for block in blocks])


def _means(hidden: torch.Tensor, rows: Sequence[Ints]) -> torch.Tensor:
    parts = [hidden[torch.from_numpy(places).to(hidden.device)] for places in rows]
    return torch.stack([part.mean(0) for part in parts])


def _sparse(weights: torch.Tensor, pack: Pack, unweighted: Ints) -> list[Sparse]:
    if weights.device.type == "cpu":
        return lexical_weights(weights.numpy(), pack, unweighted)
    return reduce_on_device(weights, pack, unweighted)


def _colbert(vectors: torch.Tensor, pack: Pack) -> list[Floats]:
    """Return the vectors of all tokens but the first, copied for each text."""
    parts = np.split(to_host(vectors), pack.starts[1:])
    return [np.array(part[1:], dtype=np.float32) for part in parts]
