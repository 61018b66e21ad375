"""The trainable M3: a transformer with up to three heads, saved in the published layout."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  # PyTorch's own name for it
from safetensors.torch import load_file, save_file
from torch import nn

from m3kit.backend import instructions
from m3kit.backend.checkpoint import Checkpoint, Pooling
from m3kit.backend.mcls import (
    check_cls_every,
    cls_rows,
    insert_cls,
    longest_text,
    without_inner_cls,
)
from m3kit.backend.packing import Pack
from m3kit.torch.weights import Weights
from m3kit.training.errors import TrainingError
from m3kit.training.lora import LoraOptions
from m3kit.training.representations import Lexical, Representations, Vectors
from m3kit.training.transformer import TransformerModel
from m3kit.vectors import REPS, Ints, Rep

HEADS = {"sparse": "sparse_linear", "colbert": "colbert_linear"}
"""The file of each head, without its suffix."""

_SMALL_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "sentencepiece.bpe.model",
    "vocab.txt",
    "modules.json",
    "1_Pooling/config.json",
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
)
_log = logging.getLogger("m3kit")


class M3Model(TransformerModel):
    """
    A checkpoint whose chosen heads are trained.

    Args:
        checkpoint: Where it comes from.
        heads: What is computed and trained; None for all that the checkpoint has. A head that it
            lacks is initialised at random.
        unweighted: Ids of special tokens, which have no lexical weight.
        freeze_encoder: Whether only the heads are trained; None freezes it where the dense vector,
            which has no head, is not among the chosen.
        dropout: Of hidden states and attention; None for that of the checkpoint.
        lora: Trains low-rank matrices beside those of the encoder, and not these.
        cls_every: Puts a CLS token before every so many tokens, whose mean is the dense vector
            (MCLS); `TorchEncoder(cls_every=…)` reads texts alike.

    Raises:
        CheckpointError: If a weight is missing or does not fit.
        TrainingError: If nothing would be trained.
        ValueError: If there is no such head, or no CLS token that several could stand beside.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        unweighted: Ints,
        heads: Sequence[Rep] | None = None,
        freeze_encoder: bool | None = None,
        dropout: float | None = None,
        lora: LoraOptions | None = None,
        cls_every: int | None = None,
    ) -> None:
        chosen = _heads(checkpoint, heads)
        frozen = "dense" not in chosen if freeze_encoder is None else freeze_encoder
        if frozen and lora is not None:
            raise TrainingError("LoRA trains the encoder, which is frozen; choose one of the two")
        if frozen and chosen == ("dense",):
            raise TrainingError(
                "the dense vector has no head, so with a frozen encoder nothing is trained; train "
                "the encoder, or the heads sparse and colbert too"
            )
        check_cls_every(cls_every)
        pooling = checkpoint.pooling()
        if cls_every is not None and pooling != "cls":
            raise ValueError(
                f"cls_every takes the mean of CLS tokens, and {checkpoint.name} pools by "
                f"{pooling}; leave it out"
            )
        super().__init__(checkpoint, dropout=dropout, lora=lora)
        self.heads, self.frozen, self.cls_every = chosen, frozen, cls_every
        self._pooling: Pooling = pooling
        self._unweighted = unweighted
        width = self.config.hidden_size
        self.sparse_linear, self.colbert_linear = _load_heads(checkpoint, width, self.heads)
        for rep, name in HEADS.items():
            if (head := getattr(self, name)) is not None:
                head.requires_grad_(rep in self.heads)
        if self.frozen:
            self.backbone.requires_grad_(False)  # noqa: FBT003  # PyTorch's signature

    @property
    def max_length(self) -> int:
        """How many tokens a text may have, special ones included."""
        longest = super().max_length
        return longest if self.cls_every is None else longest_text(longest, self.cls_every)

    def forward(self, texts: Sequence[Ints]) -> Representations:
        """Compute the chosen representations of the token ids of some texts, in float32."""
        if self.cls_every is not None:
            texts = [insert_cls(ids, self.cls_every) for ids in texts]
        with torch.no_grad() if self.frozen else nullcontext():
            hidden, pack, places = self.packed_states(texts)
        with torch.autocast(hidden.device.type, enabled=False):
            wide = torch.promote_types(hidden.dtype, torch.float32)
            computed = self._representations(hidden.to(wide), pack)
        return computed.select(places)

    def save(self, folder: Path) -> None:
        """Write the model in the published layout, in float32; LoRA's matrices merged and apart."""
        save_file(
            on_cpu(self.save_transformer(folder)), folder / "model.safetensors", {"format": "pt"}
        )
        for name in HEADS.values():
            if (head := getattr(self, name)) is not None:
                torch.save(on_cpu(head.state_dict()), folder / f"{name}.pt")
        write_small_files(self.checkpoint, folder)

    def load(self, folder: Path) -> None:
        """Take the weights of a folder that `save` wrote."""
        self.load_transformer(folder, load_file(folder / "model.safetensors"))
        for name in HEADS.values():
            if (head := getattr(self, name)) is not None:
                head.load_state_dict(
                    torch.load(folder / f"{name}.pt", map_location="cpu", weights_only=True)
                )

    def _representations(self, hidden: torch.Tensor, pack: Pack) -> Representations:
        dense, sparse, colbert = None, None, None
        if "dense" in self.heads:
            dense = F.normalize(self._pooled(hidden, pack), dim=-1)
        if self.cls_every is not None:
            rows, pack = without_inner_cls(pack, cls_rows(pack, self.cls_every))
            hidden = hidden[torch.from_numpy(rows).to(hidden.device)]
        if "sparse" in self.heads:
            sparse = self._lexical(hidden, pack)
        if "colbert" in self.heads:
            inner = torch.ones(len(hidden), dtype=torch.bool)
            inner[pack.starts] = False
            vectors = F.normalize(self._head("colbert")(hidden[inner.to(hidden.device)]), dim=-1)
            colbert = Vectors(vectors, torch.from_numpy(pack.lengths - 1).to(hidden.device))
        return Representations(dense, sparse, colbert)

    def _head(self, rep: Literal["sparse", "colbert"]) -> Any:
        return getattr(self, HEADS[rep])

    def _lexical(self, hidden: torch.Tensor, pack: Pack) -> Lexical:
        ids, texts = (torch.from_numpy(a).to(hidden.device) for a in (pack.ids, pack.texts))
        lexical = torch.from_numpy(~np.isin(pack.ids, self._unweighted)).to(hidden.device)
        weights = torch.relu(self._head("sparse")(hidden)).squeeze(1)[lexical]
        counts = torch.bincount(texts[lexical], minlength=len(pack.lengths))
        return Lexical(weights, ids[lexical], counts)

    def _pooled(self, hidden: torch.Tensor, pack: Pack) -> torch.Tensor:
        if self.cls_every is not None:
            rows = [torch.from_numpy(places) for places in cls_rows(pack, self.cls_every)]
            return torch.stack([hidden[places.to(hidden.device)].mean(0) for places in rows])
        if self._pooling == "cls":
            return hidden[torch.from_numpy(pack.starts).to(hidden.device)]
        blocks: Any = torch.split(hidden, [run.count * run.length for run in pack.runs])
        return torch.cat(
            [
                block.view(run.count, run.length, -1).mean(1)
                for run, block in zip(pack.runs, blocks, strict=True)
            ]
        )


def write_small_files(checkpoint: Checkpoint, folder: Path, **settings: Any) -> None:
    """
    Write `config.json`, the tokenizer, and what sentence-transformers knows of the model.

    The name stays in the configuration, since that of BGE v1 and v1.5 tells their instruction.
    """
    config = {key: value for key, value in checkpoint.config.items() if key != "torch_dtype"}
    config |= {"dtype": "float32", **settings}
    if instructions.for_queries(checkpoint):
        config.setdefault("_name_or_path", checkpoint.name)
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", "utf-8")
    for name in _SMALL_FILES:
        if (source := checkpoint.folder / name).is_file():
            (folder / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(source, folder / name)


def _heads(checkpoint: Checkpoint, heads: Sequence[Rep] | None) -> tuple[Rep, ...]:
    if heads is None:
        return REPS if checkpoint.head_files() else ("dense",)
    unknown = [head for head in heads if head not in REPS]
    if unknown or not heads or isinstance(heads, str):
        raise ValueError(f"heads are some of {', '.join(REPS)} in a tuple, not {heads!r}")
    return tuple(rep for rep in REPS if rep in heads)


def _load_heads(
    checkpoint: Checkpoint, width: int, heads: Sequence[Rep]
) -> tuple[nn.Linear | None, nn.Linear | None]:
    """Load both heads; make them where one is to be trained and the checkpoint has none."""
    files = checkpoint.head_files()
    if not files:
        if heads == ("dense",):
            return None, None
        _log.warning("%s has no heads; they are initialised at random", checkpoint.name)
        return nn.Linear(width, 1), nn.Linear(width, width)
    sparse, colbert = (_head(Weights([file], torch.device("cpu")), width) for file in files)
    return sparse, colbert


def _head(weights: Weights, width: int) -> nn.Linear:
    weight = weights("weight", -1, width)
    head = nn.Linear(width, len(weight))
    head.load_state_dict({"weight": weight, "bias": weights("bias", len(weight))})
    return head


def on_cpu(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Copy tensors to the CPU, as files need them."""
    return {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
