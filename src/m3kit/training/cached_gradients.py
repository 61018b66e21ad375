"""
Gradients of a loss over a batch that is computed in chunks (GradCache).

The representations of all chunks are computed without storing what is between; the loss gives their
gradients; then each chunk is computed anew, and passes them on. So memory is that of a chunk and
of the representations, and the gradients are those of the whole batch
(https://arxiv.org/abs/2101.06983).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import torch

from m3kit._batching import chunked
from m3kit.training.representations import Representations, joined
from m3kit.vectors import Ints


def backward_in_chunks(
    model: Callable[[Sequence[Ints]], Representations],
    texts: Sequence[Ints],
    loss: Callable[[Representations], torch.Tensor],
    *,
    chunk_tokens: int | None,
    backward: Callable[[torch.Tensor], object] = torch.Tensor.backward,
    without_sync: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> torch.Tensor:
    """
    Add the gradients of a loss over all texts to the parameters of a model.

    Args:
        model: Computes representations; random numbers it draws are the same in both passes.
        texts: Token ids.
        loss: Of the representations of all texts, in their order.
        chunk_tokens: Tokens of a chunk; a longer text is one by itself. None computes all at once.
        backward: Called with a scalar for each chunk, to pass its gradients back.
        without_sync: Entered for all chunks but the last, between which gradients are only added.

    Returns:
        The loss, detached.
    """
    if chunk_tokens is None or sum(map(len, texts)) <= chunk_tokens:
        value = loss(model(texts))
        backward(value)
        return value.detach()
    longest_first = sorted(range(len(texts)), key=lambda place: len(texts[place]), reverse=True)
    length = [len(ids) for ids in texts].__getitem__
    chunks = list(chunked(longest_first, size=length, budget=chunk_tokens))
    random, parts = [], []
    with torch.no_grad():
        for chunk in chunks:
            random.append(_RandomState())
            parts.append(model([texts[place] for place in chunk]))
    value, gradients = _gradients(parts, longest_first, loss)
    for number, (chunk, state) in enumerate(zip(chunks, random, strict=True)):
        last = number == len(chunks) - 1
        with nullcontext() if last else without_sync(), state:
            computed = model([texts[place] for place in chunk]).values
            backward(
                torch.stack(
                    [(tensor * gradients[number][rep]).sum() for rep, tensor in computed.items()]
                ).sum()
            )
    return value


def _gradients(
    parts: Sequence[Representations],
    order: Sequence[int],
    loss: Callable[[Representations], torch.Tensor],
) -> tuple[torch.Tensor, list[dict[str, torch.Tensor]]]:
    """Return the loss, and its gradients by the representations of each part."""
    leaves = [
        {rep: tensor.requires_grad_() for rep, tensor in part.values.items()} for part in parts
    ]
    places = torch.from_numpy(np.argsort(np.array(order)))
    whole = joined(parts)
    device = next(iter(whole.values.values())).device
    value = loss(whole.select(places.to(device)))
    value.backward()  # type: ignore[no-untyped-call]  # PyTorch has no types here
    return value.detach(), [
        {
            rep: torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
            for rep, leaf in part.items()
        }
        for part in leaves
    ]


class _RandomState:
    """The state of the random generators; they are set to it while it is entered."""

    def __init__(self) -> None:
        self._cpu = torch.get_rng_state()
        self._cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []

    def __enter__(self) -> None:
        self._after = _RandomState()
        self.restore()

    def __exit__(self, *_: object) -> None:
        self._after.restore()

    def restore(self) -> None:
        """Set the generators to it."""
        torch.set_rng_state(self._cpu)
        if self._cuda:
            torch.cuda.set_rng_state_all(self._cuda)
