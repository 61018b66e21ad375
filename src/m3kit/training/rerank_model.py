"""The trainable reranker: XLM-RoBERTa with a score of the first token."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from m3kit.backend.checkpoint import Checkpoint
from m3kit.torch.weights import Weights
from m3kit.training.errors import TrainingError
from m3kit.training.lora import LoraOptions
from m3kit.training.model import on_cpu, write_small_files
from m3kit.training.transformer import TransformerModel
from m3kit.vectors import Ints

_log = logging.getLogger("m3kit")


class RerankerModel(TransformerModel):
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
        if checkpoint.model_type != "xlm-roberta":
            raise TrainingError(
                f"{checkpoint.name} is of the type {checkpoint.model_type!r}; rerankers are made "
                "of xlm-roberta, as BAAI/bge-reranker-v2-m3, BAAI/bge-m3 or tiny"
            )
        super().__init__(checkpoint, dropout=dropout, lora=lora, pooler=False)
        width = self.config.hidden_size
        self.dense, self.out_proj = nn.Linear(width, width), nn.Linear(width, 1)
        self._load_classifier(checkpoint, width)
        self.dropout = nn.Dropout(self.config.hidden_dropout_prob)

    def forward(self, texts: Sequence[Ints]) -> torch.Tensor:
        """Score the joined ids of some pairs, float32 of shape `(pairs,)`."""
        hidden, pack, places = self.packed_states(texts)
        first = hidden[torch.from_numpy(pack.starts).to(hidden.device)].float()
        with torch.autocast(hidden.device.type, enabled=False):
            mixed = torch.tanh(self.dense(self.dropout(first)))
            scores: torch.Tensor = self.out_proj(self.dropout(mixed)).squeeze(1)
        return scores[places]

    def save(self, folder: Path) -> None:
        """Write the model as transformers saves XLMRobertaForSequenceClassification, in float32."""
        state = self.save_transformer(folder)
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
        names = [name for name in tensors if name.startswith("roberta.")]
        state = {name.removeprefix("roberta."): tensors[name] for name in names}
        self.load_transformer(folder, state)
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
