from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812  # PyTorch's own name for it
from torch._subclasses.fake_tensor import FakeTensorMode

from m3kit.backend.packing import Pack
from m3kit.torch.attention import attention, by_length, by_run, in_blocks

CPU = torch.device("cpu")


def _pack(lengths: Sequence[int]) -> Pack:
    return Pack.of([np.arange(length) for length in lengths])


def _random(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def test_tokens_look_only_at_their_own_text() -> None:
    qkv, pack = _random(9, 24), _pack([4, 2, 2, 1])
    together = by_run(pack.runs, heads=2)(qkv)
    for start, length in zip(pack.starts, pack.lengths, strict=True):
        rows = slice(start, start + length)
        alone = by_run(_pack([length]).runs, heads=2)(qkv[rows])
        torch.testing.assert_close(together[rows], alone)
        query, key, value = (
            part.view(-1, 2, 4).transpose(0, 1) for part in torch.chunk(qkv[rows], 3, 1)
        )
        scores = torch.softmax(query @ key.transpose(1, 2) / 2, dim=-1)
        torch.testing.assert_close(alone, (scores @ value).transpose(0, 1).reshape(-1, 8))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("texts", "length"), [(3, 128), (1, 1000), (2, 129), (1, 5)])
def test_blocks_equal_the_whole(texts: int, length: int, dtype: torch.dtype) -> None:
    query, key, value = _random(3, texts, 4, length, 16).to(dtype)
    whole = F.scaled_dot_product_attention(query.float(), key.float(), value.float())
    tolerance = 1e-5 if dtype == torch.float32 else 0.02
    found = in_blocks(query, key, value).float()
    torch.testing.assert_close(found, whole, rtol=0, atol=tolerance)


def test_long_texts_in_bf16_equal_float32() -> None:
    qkv, pack = _random(700, 96), _pack([300, 300, 90, 10])
    found = attention(pack, 2, CPU, torch.bfloat16)(qkv.bfloat16())
    assert found.dtype == torch.bfloat16
    wanted = attention(pack, 2, CPU, torch.float32)(qkv)
    torch.testing.assert_close(found.float(), wanted, rtol=0, atol=0.02)


def test_the_kernel_for_packed_texts_takes_what_it_is_given() -> None:
    """Its shapes and types are checked by PyTorch itself; a GPU would compute the numbers."""
    pytest.importorskip(
        "torch.nn.attention.varlen", reason="this PyTorch has no variable-length attention"
    )
    with FakeTensorMode(allow_non_fake_inputs=True):
        qkv = torch.empty(9, 3 * 64, dtype=torch.float16)
        mixed = by_length(_pack([4, 2, 2, 1]), 4, CPU)(qkv)
    assert (mixed.shape, mixed.dtype) == ((9, 64), torch.float16)


@pytest.mark.gpu
def test_the_kernel_for_packed_texts_equals_the_cpu() -> None:
    if not torch.cuda.is_available():
        pytest.skip("there is no CUDA device here")
    cuda, pack = torch.device("cuda"), _pack([300, 20, 20, 2])
    qkv = _random(342, 3 * 64)
    found = attention(pack, 4, cuda, torch.float16)(qkv.to(cuda, torch.float16))
    torch.testing.assert_close(found.float().cpu(), by_run(pack.runs, 4)(qkv), rtol=0, atol=5e-3)
