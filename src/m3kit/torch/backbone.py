"""The transformer: XLM-RoBERTa and BERT, computed over packed texts."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  # PyTorch's own name for it

from m3kit.backend.files import CheckpointError
from m3kit.backend.packing import Pack
from m3kit.torch.attention import Attend, attention
from m3kit.torch.forks import check_process, compute_on_one_thread_after_fork
from m3kit.torch.kernels import Kernel, Precision, compute_dtype, pack, parts
from m3kit.torch.weights import Weights
from m3kit.vectors import Ints

_COUNTS = ("hidden_size", "intermediate_size", "num_attention_heads", "num_hidden_layers")


class Linear:
    """An affine map over the last dimension: weight `(out, in)`, bias `(out,)`."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor) -> None:
        self.weight = weight
        self.bias = bias

    @classmethod
    def read(cls, weights: Weights, prefix: str, outputs: int, inputs: int) -> Linear:
        """Read `weight` and `bias` behind a prefix; `outputs` of -1 takes what is there."""
        weight = weights(f"{prefix}weight", outputs, inputs)
        return cls(weight, weights(f"{prefix}bias", len(weight)))

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Map `(rows, in)` to `(rows, out)`."""
        return F.linear(x, self.weight, self.bias)

    def packed(self, precision: Precision = "fp32") -> Kernel:
        """Lay the matrix out for the fastest kernel; this copy may be dropped then."""
        return pack(self.weight, self.bias, precision)


class _LayerNorm:
    def __init__(self, weights: Weights, prefix: str, size: int, eps: float) -> None:
        self._weight = weights(f"{prefix}weight", size)
        self._bias = weights(f"{prefix}bias", size)
        self._eps = eps

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return F.layer_norm(x, self._weight.shape, self._weight, self._bias, self._eps)


class _Layer:
    def __init__(
        self, weights: Weights, number: int, config: Mapping[str, Any], precision: Precision
    ) -> None:
        width, inner = config["hidden_size"], config["intermediate_size"]
        eps = config["layer_norm_eps"]
        base = f"encoder.layer.{number}."
        attention = f"{base}attention."

        def kernel(name: str, outputs: int, inputs: int) -> Kernel:
            return Linear.read(weights, name, outputs, inputs).packed(precision)

        self._qkv = _side_by_side(
            Linear.read(weights, f"{attention}self.{part}.", width, width)
            for part in ("query", "key", "value")
        ).packed(precision)
        self._mixed = kernel(f"{attention}output.dense.", width, width)
        self._mixed_norm = _LayerNorm(weights, f"{attention}output.LayerNorm.", width, eps)
        self._up = kernel(f"{base}intermediate.dense.", inner, width)
        self._down = kernel(f"{base}output.dense.", width, inner)
        self._norm = _LayerNorm(weights, f"{base}output.LayerNorm.", width, eps)
        self._in_parts = precision == "int8"

    def __call__(self, x: torch.Tensor, attend: Attend) -> torch.Tensor:
        """Compute a layer; `x` is overwritten."""
        context = attend(self._qkv(x))
        if not self._in_parts:
            return self._after(context, x)
        for part in parts(len(x)):
            x[part] = self._after(context[part], x[part])
        return x

    def _after(self, context: torch.Tensor, rest: torch.Tensor) -> torch.Tensor:
        x = self._mixed_norm(self._mixed.add(context, rest))
        return self._norm(self._down.add(self._up.gelu(x), x))


def _side_by_side(parts: Iterable[Linear]) -> Linear:
    weights, biases = zip(*((part.weight, part.bias) for part in parts), strict=True)
    return Linear(torch.cat(weights), torch.cat(biases))


class Backbone:
    """
    Token ids in, one vector for each token out.

    The pooler that the checkpoints carry is not read: nothing of M3 uses it.

    Args:
        weights: The tensors, by the names that transformers gives them.
        config: The content of `config.json`.
        precision: Of the matrix products; all else is float32.

    Raises:
        CheckpointError: If a tensor or a setting is missing, or asks for another computation.
    """

    def __init__(
        self, weights: Weights, config: Mapping[str, Any], precision: Precision = "fp32"
    ) -> None:
        compute_on_one_thread_after_fork()
        self._pid = os.getpid()
        _check(config)
        _check_layers(weights.names, config["num_hidden_layers"])
        self.width: int = config["hidden_size"]
        self._padding: int | None = None
        if config["model_type"] == "xlm-roberta":
            self._padding = config.get("pad_token_id", 1)
        self._words = weights("embeddings.word_embeddings.weight", -1, self.width)
        types = weights("embeddings.token_type_embeddings.weight", -1, self.width)
        positions = weights("embeddings.position_embeddings.weight", -1, self.width)
        self._positions = positions + types[0]
        self._norm = _LayerNorm(
            weights, "embeddings.LayerNorm.", self.width, config["layer_norm_eps"]
        )
        self._heads: int = config["num_attention_heads"]
        self._dtype = compute_dtype(precision)
        layers = range(config["num_hidden_layers"])
        self._layers = [_Layer(weights, number, config, precision) for number in layers]

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self._words.device

    @property
    def carried(self) -> torch.dtype:
        """In what large results travel to the CPU: float16, where products are as short."""
        exact = self._dtype == torch.float32 or self.device.type == "cpu"
        return torch.float32 if exact else torch.float16

    @property
    def vocab_size(self) -> int:
        """How many token ids have an embedding."""
        return len(self._words)

    @property
    def max_length(self) -> int:
        """How many tokens a text may have, special ones included."""
        return len(self._positions) - (0 if self._padding is None else self._padding + 1)

    def __call__(self, pack: Pack) -> torch.Tensor:
        """
        Compute the last hidden state, float32 of shape `(tokens, width)`.

        On a CPU some spare rows may follow those of the tokens, see `spare_rows`.
        """
        device = self.device
        check_process(self._pid, device)
        spare = spare_rows(len(pack.ids)) if device.type == "cpu" else 0
        ids, positions = (
            torch.from_numpy(np.pad(array, (0, spare))).to(device)
            for array in (pack.ids, token_positions(pack, self._padding))
        )
        x = self._norm(self._words[ids] + self._positions[positions])
        attend = attention(pack, self._heads, device, self._dtype)
        for layer in self._layers:
            x = layer(x, attend)
        return x


def spare_rows(tokens: int) -> int:
    """
    Say how many rows make a number of tokens one of the few sizes that are computed.

    oneDNN writes code for each size of a product and keeps it, hundreds of kilobytes for each size
    of a batch; so there are 16 sizes from one power of two to the next, for at most a 16th more.
    """
    step = 1 << max(tokens.bit_length() - 5, 0)
    return -tokens % step


def token_positions(pack: Pack, padding: int | None) -> Ints:
    """
    Count each text's tokens: from 0 in BERT, in XLM-RoBERTa from behind the padding's number.

    XLM-RoBERTa does not count a `<pad>` that somebody typed; it gets the padding's own position.
    """
    first = pack.starts[pack.texts]
    if padding is None:
        return np.arange(len(pack.ids)) - first
    real = (pack.ids != padding).astype(np.int64)
    before = np.cumsum(real) - real
    positions: Ints = padding + real * (before - before[first] + 1)
    return positions


def _check(config: Mapping[str, Any]) -> None:
    for name in _COUNTS:
        _check_count(config, name, least=1)
    if config["model_type"] == "xlm-roberta" and "pad_token_id" in config:
        _check_count(config, "pad_token_id", least=0)
    _check_eps(config)
    width, heads = config["hidden_size"], config["num_attention_heads"]
    if width % heads:
        raise CheckpointError(
            f"config.json has a num_attention_heads of {heads}, which does not divide the "
            f"hidden_size of {width}; correct it, or download it again"
        )
    for name, known in (("hidden_act", "gelu"), ("position_embedding_type", "absolute")):
        if config.get(name, known) != known:
            raise CheckpointError(
                f"config.json asks for {name} {config[name]!r}; this encoder computes {known!r}"
            )


def _required(config: Mapping[str, Any], name: str) -> Any:
    if name not in config:
        raise CheckpointError(f"config.json has no {name}; download it again")
    return config[name]


def _check_count(config: Mapping[str, Any], name: str, *, least: int) -> None:
    value = _required(config, name)
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise CheckpointError(
            f"config.json has a {name} of {value!r}; it is a whole number of at least {least}"
        )


def _check_eps(config: Mapping[str, Any]) -> None:
    value = _required(config, "layer_norm_eps")
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not (number and math.isfinite(value) and value > 0):
        raise CheckpointError(
            f"config.json has a layer_norm_eps of {value!r}; it is a small number above 0"
        )


def _check_layers(names: Sequence[str], count: int) -> None:
    for name in names:
        layer = re.match(r"encoder\.layer\.(\d+)\.", name)
        if layer and int(layer[1]) >= count:
            raise CheckpointError(
                f"config.json has a num_hidden_layers of {count}, and the weights go on with "
                f"{name}; they belong to different models"
            )
