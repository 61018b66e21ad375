"""A transformer that computes what the bag of stage 1 does, and counts tokens, to go on from."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn
from training.tiny.bag import COUNT, FREQUENCY, ZERO, Bag
from training.tiny.counting import set_first_head, set_last_head
from training.tiny.options import Options

_SCALE = 3.0
"""The length of embeddings, which the first normalisation ignores: longer ones change less."""

_SMALL = 0.02
_FAINT = 0.2  # of that, where the mean passes
_MIXED = 1.0  # of the mean, beside the token itself, behind the first layer
_STRESSED = 2.6  # of how frequent a token is, in ColBERT vectors
_LATER = 0.1  # of what layers behind the first one mix in


def write_initial(bag: Bag, options: Options, folder: Path) -> None:
    """
    Write a checkpoint that reproduces a bag.

    The embeddings of `<s>`, `</s>` and of all positions are zero. So the first token's state is,
    behind the first layer, the mean of the others weighted by the bag's scores, and all further
    layers begin by changing little. Last heads count, see `counting`.
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
    for dimension in (ZERO, COUNT):
        colbert[dimension, dimension] = 0
    colbert[FREQUENCY, FREQUENCY] = _STRESSED
    torch.save({"weight": colbert, "bias": torch.zeros(width)}, folder / "colbert_linear.pt")
    torch.save(
        {"weight": torch.zeros(1, width), "bias": torch.zeros(1)}, folder / "sparse_linear.pt"
    )
    (folder / "config.json").write_text(json.dumps(config(options), indent=2) + "\n", "utf-8")


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
        for weight in (value.weight, output.weight):  # what counts begins apart
            weight[:, pooled:] = 0
        output.weight[pooled:] = 0
        linear("intermediate.dense", options.inner, width).weight[:, pooled:] = 0
        linear("output.dense", width, options.inner).weight[pooled:] = 0
    for name in ("attention.output.LayerNorm", "output.LayerNorm"):
        state |= {f"{name}.weight": torch.ones(width), f"{name}.bias": torch.zeros(width)}
    if number == 0:
        set_first_head(state, options)
    elif number == options.layers - 1:
        set_last_head(state, options)
        kept = state["output.LayerNorm.weight"]
        kept[pooled:] = 0
        kept[FREQUENCY] = 1
    return state
