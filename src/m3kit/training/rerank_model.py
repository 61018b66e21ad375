"""The trainable reranker: XLM-RoBERTa with a score of the first token."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from m3kit.backend.checkpoint import Checkpoint
from m3kit.backend.packing import Pack
from m3kit.torch.weights import Weights
from m3kit.training.backbone import hidden_states, load_backbone
from m3kit.training.errors import TrainingError
from m3kit.training.lora import LoraOptions, load_adapter, merged_state, save_adapter, wrap
from m3kit.training.model import max_length, on_cpu, write_small_files
from m3kit.vectors import Ints

_log = logging.getLogger("m3kit")


class RerankerModel(nn.Module):
    """
    A checkpoint that scores the joined ids of a query and a passage.

    Args:
        checkpoint: A reranker, or an encoder, whose score is initialised at random then.
        dropout: Of hidden states, attention and the classifier; None for that of the checkpoint.
        lora: Trains low-rank matrices beside those of the encoder, and not these.

    Raises:
        CheckpointError: If a weight is missing or does not fit.
        TrainingError: If it is of an architecture that `m3kit.torch.CrossEncoder` does not compute.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        dropout: float | None = None,
        lora: LoraOptions | None = None,
    ) -> None:
        super().__init__()
        if checkpoint.model_type != "xlm-roberta":
            raise TrainingError(
                f"{checkpoint.name} is of the type {checkpoint.model_type!r}; rerankers are made "
                "of xlm-roberta, as BAAI/bge-reranker-v2-m3, BAAI/bge-m3 or tiny"
            )
        self.checkpoint = checkpoint
        self.backbone: Any = load_backbone(checkpoint, dropout, pooler=False)
        self.config = self.backbone.config
        width = self.config.hidden_size
        self.dense, self.out_proj = nn.Linear(width, width), nn.Linear(width, 1)
        self._load_classifier(checkpoint, width)
        self.dropout = nn.Dropout(self.config.hidden_dropout_prob)
        self.lora = lora is not None
        if lora is not None:
            self.backbone = wrap(self.backbone, lora)

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return next(self.parameters()).device

    @property
    def max_length(self) -> int:
        """How many tokens a pair may have, special ones included."""
        return max_length(self.config)

    def forward(self, texts: Sequence[Ints]) -> torch.Tensor:
        """Score the joined ids of some pairs, float32 of shape `(pairs,)`."""
        order = np.argsort([len(ids) for ids in texts], kind="stable")
        pack = Pack.of([texts[place] for place in order])
        hidden = hidden_states(self.backbone, pack, self.device)
        first = hidden[torch.from_numpy(pack.starts).to(hidden.device)].float()
        with torch.autocast(hidden.device.type, enabled=False):
            mixed = torch.tanh(self.dense(self.dropout(first)))
            scores: torch.Tensor = self.out_proj(self.dropout(mixed)).squeeze(1)
        return scores[torch.from_numpy(np.argsort(order, kind="stable")).to(hidden.device)]

    def activation_checkpointing_enable(self, **options: Any) -> None:
        """Compute hidden states again in the backward pass, to store fewer."""
        self.backbone.activation_checkpointing_enable(**options)

    def save(self, folder: Path) -> None:
        """Write the model as transformers saves XLMRobertaForSequenceClassification, in float32."""
        folder.mkdir(parents=True, exist_ok=True)
        if self.lora:
            save_adapter(self.backbone, folder)
        state = merged_state(self.backbone) if self.lora else self.backbone.state_dict()
        tensors = {f"roberta.{name}": tensor for name, tensor in state.items()}
        for name in ("dense", "out_proj"):
            head = getattr(self, name).state_dict()
            tensors |= {f"classifier.{name}.{key}": tensor for key, tensor in head.items()}
        save_file(on_cpu(tensors), folder / "model.safetensors", {"format": "pt"})
        write_small_files(
            self.checkpoint,
            folder,
            architectures=["XLMRobertaForSequenceClassification"],
            id2label={"0": "LABEL_0"},
            label2id={"LABEL_0": 0},
        )

    def load(self, folder: Path) -> None:
        """Take the weights of a folder that `save` wrote."""
        tensors = load_file(folder / "model.safetensors")
        if self.lora:
            load_adapter(self.backbone, folder)
        else:
            names = [name for name in tensors if name.startswith("roberta.")]
            self.backbone.load_state_dict({n.removeprefix("roberta."): tensors[n] for n in names})
        for name in ("dense", "out_proj"):
            head = {key: tensors[f"classifier.{name}.{key}"] for key in ("weight", "bias")}
            getattr(self, name).load_state_dict(head)

    def _load_classifier(self, checkpoint: Checkpoint, width: int) -> None:
        weights = Weights(checkpoint.weights_files(), torch.device("cpu"))
        if "classifier.out_proj.weight" not in weights.names:
            _log.warning("%s has no score; it is initialised at random", checkpoint.name)
            return
        for name, outputs in (("dense", width), ("out_proj", 1)):
            weight = weights(f"classifier.{name}.weight", outputs, width)
            bias = weights(f"classifier.{name}.bias", outputs)
            getattr(self, name).load_state_dict({"weight": weight, "bias": bias})
