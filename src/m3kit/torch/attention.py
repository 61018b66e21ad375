"""Attention over packed texts: each token looks at all tokens of its own text, and no other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from importlib.util import find_spec
from typing import TypeAlias

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  # PyTorch's own name for it

from m3kit.backend.packing import Pack, Run

Attend: TypeAlias = Callable[[torch.Tensor], torch.Tensor]
"""From queries, keys and values side by side, `(tokens, 3 * width)`, to `(tokens, width)`."""

_HALF = (torch.float16, torch.bfloat16)
_LONG = 128  # tokens from which on products in blocks are faster in bf16
_BLOCK = 512  # queries at once
_SCORES = 2**18  # attention weights at once for each core, whose cache holds them


def attention(pack: Pack, heads: int, device: torch.device, dtype: torch.dtype) -> Attend:
    """Choose the attention of one forward pass, for tensors of this type on this device."""
    if dtype in _HALF and knows_lengths(device):
        return by_length(pack, heads, device)
    return by_run(pack.runs, heads)


@cache
def knows_lengths(device: torch.device) -> bool:
    """Tell whether `by_length` runs on a device."""
    if device.type != "cuda" or find_spec("torch.nn.attention.varlen") is None:
        return False
    return torch.cuda.get_device_capability(device) >= (8, 0)  # what flash attention needs


def by_run(runs: Sequence[Run], heads: int) -> Attend:
    """Attend to texts of one length at a time; to long ones in bf16 on a CPU in blocks."""

    def attend(qkv: torch.Tensor) -> torch.Tensor:
        blocks = qkv.device.type == "cpu" and qkv.dtype == torch.bfloat16
        context = qkv.new_empty(len(qkv), qkv.shape[1] // 3)
        for run in runs:
            parts = qkv[run.rows].view(run.count, run.length, 3, heads, -1)
            query, key, value = parts.permute(2, 0, 3, 1, 4)
            if blocks and run.length >= _LONG:
                mixed = in_blocks(query, key, value)
            else:
                mixed = F.scaled_dot_product_attention(query, key, value)
            mixed = mixed.transpose(1, 2)
            context[run.rows].view(mixed.shape).copy_(mixed)
        context[runs[-1].rows.stop :] = 0  # spare rows, which belong to no text
        return context

    return attend


def in_blocks(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """
    Compute scaled dot-product attention as plain products, for blocks of queries and heads.

    PyTorch's fused attention runs no faster in bf16 than in float32 on a CPU; its products do.

    Args:
        query: Shape `(texts, heads, length, size)`, as are the other two.
        key: What queries are compared with.
        value: What is mixed.
    """
    texts, heads, length, size = query.shape
    query = (query * size**-0.5).reshape(-1, length, size)
    key = key.reshape(-1, length, size).transpose(1, 2)
    value = value.reshape(-1, length, size)
    mixed = torch.empty_like(query)
    together = max(1, _SCORES * torch.get_num_threads() // (min(_BLOCK, length) * length))
    for head in range(0, len(query), together):
        group = slice(head, head + together)
        for start in range(0, length, _BLOCK):
            rows = slice(start, start + _BLOCK)
            weights = torch.softmax(query[group, rows] @ key[group], dim=-1)
            torch.bmm(weights, value[group], out=mixed[group, rows])
    return mixed.view(texts, heads, length, size)


def by_length(pack: Pack, heads: int, device: torch.device) -> Attend:
    """Attend to all texts in one kernel that knows where each begins; CUDA, half precision."""
    from torch.nn.attention.varlen import varlen_attn

    ends = np.concatenate([[0], pack.lengths.cumsum()]).astype(np.int32)
    bounds = torch.from_numpy(ends).to(device)
    longest = int(pack.lengths.max())

    def attend(qkv: torch.Tensor) -> torch.Tensor:
        query, key, value = qkv.view(len(qkv), 3, heads, -1).unbind(1)
        mixed = varlen_attn(query, key, value, bounds, bounds, longest, longest)
        return mixed.reshape(len(qkv), -1)  # type: ignore[union-attr]  # a tuple only if asked for

    return attend
