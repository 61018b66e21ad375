"""A transformer that computes what the bag of stage 1 does, and BM25, to go on from."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn
from training.tiny.bag import COUNT, FREQUENCY, Bag
from training.tiny.lexical import lexical_weights
from training.tiny.options import Options

from m3kit.backend.checkpoint import read_checkpoint
from m3kit.backend.packing import Pack
from m3kit.backend.tokenizer import load_tokenizer
from m3kit.training.backbone import hidden_states
from m3kit.training.model import M3Model
from m3kit.vectors import Floats

_SCALE = 3.0
"""The length of embeddings, which the first normalisation ignores: longer ones change less."""

_SMALL = 0.02
_FAINT = 0.2  # of that, where the mean passes
_MIXED = 1.0  # of the mean, beside the token itself, behind the first layer
_LATER = 0.1  # of what layers behind the first one mix in
_SHARP = 4.5  # how much a token prefers itself in the head that counts
_COUNTED = 0.1  # of what that head, and the one that takes the mean, add to a token's state


def write_initial(bag: Bag, options: Options, folder: Path) -> None:
    """
    Write a checkpoint that reproduces a bag.

    The embeddings of `<s>`, `</s>` and of all positions are zero. So the first token's state is,
    behind the first layer, the mean of the others weighted by the bag's scores, and all further
    layers begin by changing little. The first layer's last head counts: each token looks for
    itself, and finds the more of it the more often it occurs and the shorter the text is. What it
    finds is how rare the tokens are that it looks at; the last layer's last head takes from that
    the mean of the text.
    """
    torch.manual_seed(options.seed)
    with torch.no_grad():
        words = bag.embeddings(torch.arange(options.vocabulary)) * _SCALE
        words[:3] = 0
    state = {
        "embeddings.word_embeddings.weight": words,
        "embeddings.position_embeddings.weight": torch.zeros(options.positions + 2, options.width),
        "embeddings.token_type_embeddings.weight": torch.zeros(1, options.width),
        "embeddings.LayerNorm.weight": torch.ones(options.width),
        "embeddings.LayerNorm.bias": torch.zeros(options.width),
    }
    for number in range(options.layers):
        layer = _layer(bag, options, number)
        state |= {f"encoder.layer.{number}.{name}": tensor for name, tensor in layer.items()}
    save_file(state, folder / "model.safetensors", {"format": "pt"})
    width = options.width
    colbert = torch.eye(width)
    colbert[COUNT, COUNT] = 0
    torch.save({"weight": colbert, "bias": torch.zeros(width)}, folder / "colbert_linear.pt")
    torch.save(
        {"weight": torch.zeros(1, width), "bias": torch.zeros(1)}, folder / "sparse_linear.pt"
    )
    (folder / "config.json").write_text(json.dumps(config(options), indent=2) + "\n", "utf-8")


def fit_sparse_head(folder: Path, texts: list[str], rarity: Floats) -> None:
    """Let the sparse head begin with BM25's weight of each token, by least squares over texts."""
    checkpoint = read_checkpoint("tiny", folder)
    tokenizer = load_tokenizer(folder, checkpoint.config)
    model = M3Model(checkpoint, unweighted=tokenizer.unweighted)
    ids = [tokens.ids for tokens in tokenizer(texts, model.max_length)]
    with torch.no_grad():
        hidden = [hidden_states(model.backbone, Pack.of([row]), model.device) for row in ids]
    rows = torch.cat([states[1:-1] for states in hidden]).double().numpy()
    wanted = np.concatenate(lexical_weights([row[1:-1] for row in ids], rarity))
    rows = np.concatenate([rows, np.ones((len(rows), 1))], axis=1)
    gram = rows.T @ rows + 1e-3 * len(rows) * np.eye(rows.shape[1])
    solved = torch.from_numpy(np.linalg.solve(gram, rows.T @ wanted)).float()
    head = {"weight": solved[None, :-1].clone(), "bias": solved[-1:].clone()}
    torch.save(head, folder / "sparse_linear.pt")


def config(options: Options, dtype: str = "float32") -> dict[str, object]:
    """Return the content of `config.json`."""
    return {
        "architectures": ["XLMRobertaModel"],
        "attention_probs_dropout_prob": 0.0,
        "bos_token_id": 0,
        "dtype": dtype,
        "eos_token_id": 2,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.0,
        "hidden_size": options.width,
        "initializer_range": 0.02,
        "intermediate_size": options.inner,
        "layer_norm_eps": 1e-05,
        "max_position_embeddings": options.positions + 2,
        "model_type": "xlm-roberta",
        "num_attention_heads": options.heads,
        "num_hidden_layers": options.layers,
        "pad_token_id": 1,
        "type_vocab_size": 1,
        "vocab_size": options.vocabulary,
    }


def _layer(bag: Bag, options: Options, number: int) -> dict[str, torch.Tensor]:
    width, size, pooled = options.width, options.width // options.heads, options.pooled
    state: dict[str, torch.Tensor] = {}

    def linear(name: str, outputs: int, inputs: int) -> nn.Linear:
        layer = nn.Linear(inputs, outputs)
        nn.init.normal_(layer.weight, std=_SMALL)
        nn.init.zeros_(layer.bias)
        state.update({f"{name}.{key}": value.detach() for key, value in layer.named_parameters()})
        return layer

    query = linear("attention.self.query", width, width)
    key = linear("attention.self.key", width, width)
    value = linear("attention.self.value", width, width)
    output = linear("attention.output.dense", width, width)
    with torch.no_grad():  # the first row of each head but the last scores a token as the bag does
        query.bias[:pooled:size] = 1
        key.weight[:pooled:size] = bag.score * size**0.5
        value.weight *= _FAINT
        output.weight *= _FAINT
        value.weight[:pooled, :pooled] += torch.eye(pooled)
        mixed = torch.eye(pooled) * (_LATER if number else _MIXED)
        output.weight[:pooled, :pooled] += mixed
        if number in {0, options.layers - 1}:
            counts = number == 0
            query.weight[pooled:] = key.weight[pooled:] = _identity(bag, size) if counts else 0
            sign = -1 if counts else 1
            value.weight[pooled] = 0
            value.weight[pooled, FREQUENCY] = sign
            value.bias[pooled] = -sign * width**0.5 / 2  # a text's mean is about 0
            output.weight[COUNT] = 0
            output.weight[COUNT, pooled] = _COUNTED
    linear("intermediate.dense", options.inner, width)
    linear("output.dense", width, options.inner)
    for name in ("attention.output.LayerNorm", "output.LayerNorm"):
        state |= {f"{name}.weight": torch.ones(width), f"{name}.bias": torch.zeros(width)}
    return state


def _identity(bag: Bag, size: int) -> torch.Tensor:
    """Return a projection of states by which a token is like itself and like no other."""
    states = bag.states(torch.arange(len(bag.frequency)))
    spread = states.std(0)
    projection = torch.randn(size, len(spread)) / spread
    projection[:, [FREQUENCY, COUNT]] = 0
    projected = states @ projection.T
    likeness = (projected**2).sum(-1).mean() / size**0.5
    scaled: torch.Tensor = projection * (_SHARP / likeness) ** 0.5
    return scaled
