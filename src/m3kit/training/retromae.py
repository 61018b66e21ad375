"""
RetroMAE: a transformer that puts a text into its CLS vector, from which a weak decoder reads it.

The encoder sees a text with few of its tokens masked, and predicts these. A decoder of one layer
predicts every token from the CLS vector and a few other tokens (https://arxiv.org/abs/2205.12035,
section 3; its enhanced decoding).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  # PyTorch's own name for it
from safetensors.torch import load_file, save_file
from torch import nn

from m3kit.backend.checkpoint import Checkpoint
from m3kit.backend.packing import Pack
from m3kit.training.backbone import hidden_states, load_backbone
from m3kit.training.model import write_small_files
from m3kit.training.positions import extend_positions
from m3kit.vectors import Ints

_OTHERS = "pretraining.safetensors"
"""Decoder and prediction head, which a run goes on with and a model does not need."""


@dataclass(frozen=True, slots=True)
class MaskedText:
    """
    A text as the encoder and the decoder see it.

    Args:
        ids: Its tokens, special ones included.
        masked: The same, where the encoder sees `<mask>` in place of some.
        hidden: Which tokens those are, bool of shape `(tokens,)`.
        predicted: Which tokens the decoder predicts, all but special ones.
        visible: Which tokens the decoder may look at, to predict each, bool of shape
            `(tokens, tokens)`. Column 0 is the CLS vector.
    """

    ids: Ints
    masked: Ints
    hidden: np.ndarray[Any, np.dtype[np.bool_]]
    predicted: np.ndarray[Any, np.dtype[np.bool_]]
    visible: np.ndarray[Any, np.dtype[np.bool_]]


class PredictionHead(nn.Module):
    """From a vector to a score of each token, by the tokens' own embeddings; as in BERT."""

    def __init__(self, width: int, vocabulary: int, eps: float) -> None:
        super().__init__()
        self.dense = nn.Linear(width, width)
        self.layer_norm = nn.LayerNorm(width, eps=eps)
        self.bias = nn.Parameter(torch.zeros(vocabulary))

    def forward(self, rows: torch.Tensor, embeddings: torch.Tensor) -> torch.Tensor:
        """Map `(rows, width)` to `(rows, vocabulary)`."""
        return F.linear(self.layer_norm(F.gelu(self.dense(rows))), embeddings, self.bias)


class EnhancedDecoder(nn.Module):
    """
    One layer, in which each token looks at tokens of its own choice.

    Args:
        width: Of hidden states.
        inner: Of the feed-forward layer.
        heads: Of attention.
        eps: Of the norms.
    """

    def __init__(self, width: int, inner: int, heads: int, eps: float) -> None:
        super().__init__()
        self._heads = heads
        self.query, self.key, self.value, self.output = (nn.Linear(width, width) for _ in range(4))
        self.attention_norm = nn.LayerNorm(width, eps=eps)
        self.up, self.down = nn.Linear(width, inner), nn.Linear(inner, width)
        self.norm = nn.LayerNorm(width, eps=eps)

    def forward(
        self, queries: torch.Tensor, context: torch.Tensor, visible: torch.Tensor
    ) -> torch.Tensor:
        """
        Decode a text.

        Args:
            queries: The CLS vector plus the position of each token, `(tokens, width)`.
            context: The CLS vector, then the embedding of each further token, `(tokens, width)`.
            visible: See `MaskedText`.
        """

        def split(rows: torch.Tensor) -> torch.Tensor:
            return rows.view(len(rows), self._heads, -1).transpose(0, 1)

        mixed = F.scaled_dot_product_attention(
            split(self.query(queries)),
            split(self.key(context)),
            split(self.value(context)),
            attn_mask=visible,
        )
        attended = self.output(mixed.transpose(0, 1).flatten(1))
        rows = self.attention_norm(attended + queries)
        decoded: torch.Tensor = self.norm(self.down(F.gelu(self.up(rows))) + rows)
        return decoded


class RetroMae(nn.Module):
    """
    A checkpoint with what pre-training adds to it.

    Args:
        checkpoint: Where it comes from.
        positions: The longest text in tokens; what the checkpoint lacks is added, see
            `m3kit.training.positions`. None leaves them.
        dropout: Of hidden states and attention; None for that of the checkpoint.
    """

    def __init__(
        self, checkpoint: Checkpoint, *, positions: int | None = None, dropout: float | None = None
    ) -> None:
        super().__init__()
        self.checkpoint = checkpoint
        self.backbone: Any = load_backbone(checkpoint, dropout)
        if positions is not None:
            extend_positions(self.backbone, positions)
        config = self.backbone.config
        sizes = config.hidden_size, config.intermediate_size, config.num_attention_heads
        self.decoder = EnhancedDecoder(*sizes, config.layer_norm_eps)
        self.head = PredictionHead(sizes[0], config.vocab_size, config.layer_norm_eps)
        for module in (*self.decoder.modules(), *self.head.modules()):
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=config.initializer_range)
                nn.init.zeros_(module.bias)

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.head.bias.device

    def forward(self, texts: Sequence[MaskedText]) -> dict[str, torch.Tensor]:
        """Compute the losses `encoder` and `decoder`, each a mean over the tokens predicted."""
        pack = Pack.of([text.masked for text in texts])
        hidden = hidden_states(self.backbone, pack, self.device)
        masked = torch.from_numpy(np.concatenate([text.hidden for text in texts]))
        words = self.backbone.embeddings.word_embeddings.weight
        ids = torch.from_numpy(np.concatenate([text.ids for text in texts])).to(self.device)
        masked = masked.to(self.device)
        losses = {"encoder": self._loss(hidden[masked], ids[masked], words)}
        starts, stops = pack.starts.tolist(), (pack.starts + pack.lengths).tolist()
        decoded = [
            self._decoded(hidden[start], ids[start:stop], text)
            for start, stop, text in zip(starts, stops, texts, strict=True)
        ]
        predicted = torch.from_numpy(np.concatenate([text.predicted for text in texts]))
        losses["decoder"] = self._loss(torch.cat(decoded), ids[predicted.to(self.device)], words)
        return losses

    def _decoded(self, vector: torch.Tensor, ids: torch.Tensor, text: MaskedText) -> torch.Tensor:
        """Return the decoder's state of each token of a text that is predicted."""
        embeddings = self.backbone.embeddings
        first = 0 if self.backbone.config.model_type == "bert" else embeddings.padding_idx + 1
        positions = embeddings.position_embeddings.weight[first : first + len(ids)]
        context = embeddings.word_embeddings(ids) + positions
        context = torch.cat([vector[None], context[1:]])
        predicted = torch.from_numpy(text.predicted).to(self.device)
        visible = torch.from_numpy(text.visible).to(self.device)
        decoded: torch.Tensor = self.decoder(vector + positions, context, visible)
        return decoded[predicted]

    def _loss(self, rows: torch.Tensor, ids: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
        if not len(ids):
            return rows.sum() * 0  # a batch of texts too short for a mask
        return F.cross_entropy(self.head(rows, words).float(), ids)

    def save(self, folder: Path) -> None:
        """Write the encoder in the published layout, and what pre-training adds beside it."""
        folder.mkdir(parents=True, exist_ok=True)
        state = self.backbone.state_dict()
        save_file(_on_cpu(state), folder / "model.safetensors", {"format": "pt"})
        save_file(_on_cpu(self._others()), folder / _OTHERS, {"format": "pt"})
        positions = self.backbone.config.max_position_embeddings
        write_small_files(self.checkpoint, folder, max_position_embeddings=positions)

    def load(self, folder: Path) -> None:
        """Take the weights of a folder that `save` wrote."""
        self.backbone.load_state_dict(load_file(folder / "model.safetensors"))
        for name, tensor in load_file(folder / _OTHERS).items():
            self.get_parameter(name).data.copy_(tensor)

    def _others(self) -> dict[str, torch.Tensor]:
        named = self.named_parameters()
        return {name: tensor for name, tensor in named if not name.startswith("backbone.")}


def mask_text(
    ids: Ints,
    random: np.random.Generator,
    *,
    mask: int,
    encoder_share: float,
    decoder_share: float,
) -> MaskedText:
    """
    Draw what is masked in a text, whose first and last token are special.

    For the decoder a different draw is made for each token: it sees the CLS vector and, of the
    other tokens, the share that is not masked, but never itself.

    Args:
        ids: The tokens.
        random: What draws.
        mask: The id of `<mask>`.
        encoder_share: The share of tokens that the encoder does not see, at least one.
        decoder_share: The share of other tokens that the decoder does not see.
    """
    count = len(ids)
    predicted = np.ones(count, dtype=bool)
    predicted[[0, -1]] = False
    hidden = np.zeros(count, dtype=bool)
    inside = np.flatnonzero(predicted)
    if len(inside):
        number = max(1, round(encoder_share * len(inside)))
        hidden[random.choice(inside, number, replace=False)] = True
    visible = _drawn_columns(count, round((1 - decoder_share) * max(0, count - 2)), random)
    return MaskedText(ids, np.where(hidden, mask, ids), hidden, predicted, visible)


def _drawn_columns(
    count: int, number: int, random: np.random.Generator
) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Return column 0, and in each row `number` of the columns behind it, but not its own."""
    keys = random.random((count, count), dtype=np.float32)
    keys[:, 0] = 2
    np.fill_diagonal(keys, 2)
    visible = np.zeros((count, count), dtype=bool)
    if number > 0:
        drawn = np.argpartition(keys, number - 1, axis=1)[:, :number]
        np.put_along_axis(visible, drawn, values=True, axis=1)
    np.fill_diagonal(visible, val=False)
    visible[:, 0] = True
    return visible


def _on_cpu(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
