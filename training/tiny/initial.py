"""A transformer that computes what the bag of stage 1 does, to go on from."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn
from training.tiny.bag import Bag
from training.tiny.options import Options

from m3kit.torch import TorchEncoder
from m3kit.vectors import Floats

_SMALL = 0.02
_LATER = 0.1  # of what layers behind the first one mix in
_LARGEST_WEIGHT = 0.5


def write_initial(bag: Bag, options: Options, folder: Path) -> None:
    """
    Write a checkpoint that reproduces a bag.

    The embeddings of `<s>` and of all positions are zero. So the first token's state is, behind
    the first layer, the mean of the others weighted by the bag's scores, and all further layers
    begin by changing little.
    """
    torch.manual_seed(options.seed)
    state = {
        "embeddings.word_embeddings.weight": bag.words.weight.detach().clone(),
        "embeddings.position_embeddings.weight": torch.zeros(options.positions + 2, options.width),
        "embeddings.token_type_embeddings.weight": torch.zeros(1, options.width),
        "embeddings.LayerNorm.weight": bag.norm.weight.detach().clone(),
        "embeddings.LayerNorm.bias": torch.zeros(options.width),
    }
    state["embeddings.word_embeddings.weight"][:3] = 0
    for number in range(options.layers):
        layer = _layer(bag, options, number)
        state |= {f"encoder.layer.{number}.{name}": tensor for name, tensor in layer.items()}
    save_file(state, folder / "model.safetensors", {"format": "pt"})
    width = options.width
    torch.save(
        {"weight": torch.eye(width), "bias": torch.zeros(width)}, folder / "colbert_linear.pt"
    )
    torch.save(
        {"weight": torch.zeros(1, width), "bias": torch.zeros(1)}, folder / "sparse_linear.pt"
    )
    (folder / "config.json").write_text(json.dumps(config(options), indent=2) + "\n", "utf-8")


def fit_sparse_head(folder: Path, texts: list[str], rarity: Floats) -> None:
    """Let the sparse head begin with the rarity of each token, by least squares over texts."""
    encoder = TorchEncoder.from_pretrained(folder, device="cpu")
    ids = [tokens.ids for tokens in encoder.document_ids(texts)]
    hidden = [output.colbert for output in encoder.encode_ids(ids, ["colbert"])]
    rows = np.concatenate([h for h in hidden if h is not None]) * np.sqrt(encoder.dim)
    wanted = np.concatenate([rarity[row[1:]] for row in ids]) / rarity.max() * _LARGEST_WEIGHT
    rows = np.concatenate([rows, np.ones((len(rows), 1), dtype=np.float32)], axis=1)
    gram = rows.T @ rows + 1e-2 * len(rows) * np.eye(rows.shape[1])
    solved = torch.from_numpy(np.linalg.solve(gram, rows.T @ wanted).astype(np.float32))
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
    width, size = options.width, options.width // options.heads
    state: dict[str, torch.Tensor] = {}

    def linear(name: str, outputs: int, inputs: int) -> nn.Linear:
        layer = nn.Linear(inputs, outputs)
        nn.init.normal_(layer.weight, std=_SMALL)
        nn.init.zeros_(layer.bias)
        state.update({f"{name}.{key}": value.detach() for key, value in layer.named_parameters()})
        return layer

    query = linear("attention.self.query", width, width)
    key = linear("attention.self.key", width, width)
    with torch.no_grad():  # each head's first row scores a token as the bag does
        query.bias[::size] = 1
        key.weight[::size] = bag.score.detach() * size**0.5
    value = linear("attention.self.value", width, width)
    output = linear("attention.output.dense", width, width)
    with torch.no_grad():
        value.weight += torch.eye(width)
        output.weight += torch.eye(width) * (1 if number == 0 else _LATER)
    linear("intermediate.dense", options.inner, width)
    linear("output.dense", width, options.inner)
    for name in ("attention.output.LayerNorm", "output.LayerNorm"):
        state |= {f"{name}.weight": torch.ones(width), f"{name}.bias": torch.zeros(width)}
    return state
