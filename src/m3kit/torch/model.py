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
    """

    backbone: Backbone
    pooling: Pooling
    heads: tuple[Kernel, Kernel] | None
    unweighted: Ints

    @property
    def width(self) -> int:
        """Width of the dense vector."""
        return self.backbone.width

    @property
    def max_length(self) -> int:
        """How many tokens a text may have, special ones included."""
        return self.backbone.max_length

    @property
    def reps(self) -> frozenset[Rep]:
        """All three, or dense alone where there are no heads."""
        return frozenset(REPS if self.heads else ("dense",))

    @torch.inference_mode()
    def __call__(self, texts: Sequence[Ints], reps: Collection[Rep]) -> list[M3Output]:
        """Encode texts in one pass, computing `reps` and nothing else."""
        with on_own_stream(self.backbone.device):
            return self._outputs(Pack.of(texts), reps)

    def _outputs(self, pack: Pack, reps: Collection[Rep]) -> list[M3Output]:
        hidden = self.backbone(pack)
        nothing = [None] * len(pack.lengths)
        dense = _dense(hidden, pack, self.pooling) if "dense" in reps else nothing
        sparse: Sequence[Sparse | None] = nothing
        colbert: Sequence[Floats | None] = nothing
        if self.heads and "sparse" in reps:
            weights = torch.relu(self.heads[0](hidden)).squeeze(1)[: len(pack.ids)]
            sparse = _sparse(weights, pack, self.unweighted)
        if self.heads and "colbert" in reps:
            vectors = F.normalize(self.heads[1](hidden), dim=-1)[: len(pack.ids)]
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
) -> Model:
    """
    Read the weights that belong to a tokenizer.

    Raises:
        CheckpointError: If something is missing or does not fit together.
        ValueError: If this build of PyTorch does not compute in that precision.
    """
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
    return Model(backbone, checkpoint.pooling(), heads, tokenizer.unweighted)


def _head(weights: Weights, outputs: int, width: int) -> Kernel:
    head = Linear.read(weights, "", outputs, width)
    check_finite(f"weight in {weights.path}", head.weight)
    return head.packed()


def _dense(hidden: torch.Tensor, pack: Pack, pooling: Pooling) -> Floats:
    if pooling == "cls":
        pooled = hidden[torch.from_numpy(pack.starts).to(hidden.device)]
    else:
        blocks = [hidden[run.rows].view(run.count, run.length, -1) for run in pack.runs]
        pooled = torch.cat([block.mean(1) for block in blocks])
    return to_host(F.normalize(pooled, dim=-1))


def _sparse(weights: torch.Tensor, pack: Pack, unweighted: Ints) -> list[Sparse]:
    if weights.device.type == "cpu":
        return lexical_weights(weights.numpy(), pack, unweighted)
    return reduce_on_device(weights, pack, unweighted)


def _colbert(vectors: torch.Tensor, pack: Pack) -> list[Floats]:
    """Return the vectors of all tokens but the first, copied for each text."""
    parts = np.split(to_host(vectors), pack.starts[1:])
    return [np.array(part[1:], dtype=np.float32) for part in parts]
