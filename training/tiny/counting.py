"""
How the transformer counts tokens, for BM25's weight of each, beside what it learns.

The last head of the first and of the last layer, and the dimensions that they write, are set and
not trained. In the first layer a token looks for its own code, and `<s>` and `</s>` take a fixed
share of what it looks at: the more often the token stands in the text, the less they get. They
themselves look at all tokens alike, and see how long the text is; in the last layer every token
reads it there. `fitting` makes weights of what is counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import log
from typing import NamedTuple

import torch
from training.tiny.bag import (
    CODE,
    COUNT,
    FREQUENCY,
    LENGTH,
    MOST_FREQUENT,
    RAREST,
    RARITY,
    SCALE,
    ZERO,
)
from training.tiny.options import Options

UNITS = 64
"""Feed-forward units of the last layer that make the weights."""

_SELF = 10.0  # logit of a token's own code, where that of another token is about 0
_SPECIAL = 30.0  # tokens that `<s>` and `</s>` together count for where they look at a text
_NEAR, _FAR = 10.0, 30.0  # logit of these two in the last layer, and how much less others have
_FOUND, _MEASURED, _COPIED = 2.5, 0.6, 0.45
"""What is written into `COUNT` and, as a measure of the other numbers of a state that is
normalised, into `SCALE`; and the part of a special token's that others take over."""


def set_first_head(layer: Mapping[str, torch.Tensor], options: Options) -> None:
    """Let the last head of the first layer write what special tokens get into `COUNT`."""
    query, key, value, output = _last_head(layer, options)
    size = options.width // options.heads
    codes = options.width - options.pooled + ZERO  # one row for each number of a code
    sharp = (_SELF * size**0.5 / (codes * options.width * CODE**2)) ** 0.5
    for row in range(codes):
        for weight in (query.weight, key.weight):
            weight[row, options.pooled + row], weight[row, ZERO] = sharp, -sharp
    word, root = _word(options), size**0.25
    special, own = log(_SPECIAL / 2), _SELF - log(2)
    query.weight[codes], query.bias[codes] = word * (own - special) * root, special * root
    key.weight[codes], key.bias[codes] = -word * root, root
    value.weight[0], value.bias[:2] = -word, 1
    output[COUNT, 0], output[SCALE, 1] = _FOUND, _MEASURED


def set_last_head(layer: Mapping[str, torch.Tensor], options: Options) -> None:
    """Let the last head of the last layer read the text's length from special tokens."""
    query, key, value, output = _last_head(layer, options)
    query.bias[0] = (options.width // options.heads) ** 0.5
    key.weight[0], key.bias[0] = -_FAR * _word(options), _NEAR
    for row, dimension in enumerate((COUNT, SCALE)):
        value.weight[row, dimension], value.weight[row, ZERO] = 1, -1
    output[LENGTH, 0] = output[SCALE, 1] = _COPIED


def counting_entries(name: str, parameter: torch.Tensor, options: Options) -> torch.Tensor:
    """
    Return which entries of a parameter are set, as booleans of its shape.

    Args:
        name: As the model or its checkpoint has it.
        parameter: A tensor of that shape.
        options: The sizes.
    """
    entries = torch.zeros(parameter.shape, dtype=torch.bool)
    own, last = slice(options.pooled, None), f"layer.{options.layers - 1}."
    if "word_embeddings" in name:
        entries[:, own] = True
    elif "colbert_linear.weight" in name:
        entries[:, [ZERO, COUNT]] = True
    elif "intermediate" in name:
        entries[-UNITS:] = last in name
    else:
        entries[own] = True
        if f"{last}output.dense.weight" in name:
            entries[:, -UNITS:] = True
    return entries


class _Rows(NamedTuple):
    weight: torch.Tensor
    bias: torch.Tensor


def _last_head(
    layer: Mapping[str, torch.Tensor], options: Options
) -> tuple[_Rows, _Rows, _Rows, torch.Tensor]:
    """Return a layer's query, key and value of the last head, zero, and what reads the head."""
    own = slice(options.pooled, None)
    query, key, value = (
        _Rows(*(layer[f"attention.self.{name}.{kind}"][own].zero_() for kind in _Rows._fields))
        for name in ("query", "key", "value")
    )
    return query, key, value, layer["attention.output.dense.weight"][:, own]


def _word(options: Options) -> torch.Tensor:
    """Return a projection that is 1 for the embedding of a word, and 0 for that of `<s>`."""
    row = torch.zeros(options.width)
    for dimension, largest in ((FREQUENCY, MOST_FREQUENT), (RARITY, RAREST)):
        row[dimension] = 1 / largest / options.width**0.5
    row[ZERO] = -row.sum()
    return row
