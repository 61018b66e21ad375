"""The lexical weights of a batch, reduced on the device that computed its tokens' weights."""

from __future__ import annotations

import torch

from m3kit.backend.lexical import by_text, lexical_keys
from m3kit.backend.packing import Pack
from m3kit.vectors import Ints, Sparse


def reduce_on_device(weights: torch.Tensor, pack: Pack, unweighted: Ints) -> list[Sparse]:
    """
    Compute `m3kit.backend.lexical.lexical_weights` on the device; only the results leave it.

    Args:
        weights: One for each token, float32 of shape `(tokens,)`.
        pack: The tokens.
        unweighted: Ids to leave out.
    """
    device = weights.device
    ids, keys, left_out = (
        torch.from_numpy(array).to(device) for array in (pack.ids, lexical_keys(pack), unweighted)
    )
    mask = (weights > 0) & ~torch.isin(ids, left_out)
    keys, order = keys[mask].sort()
    unique, group = torch.unique_consecutive(keys, return_inverse=True)
    largest = weights.new_zeros(len(unique)).scatter_reduce_(
        0, group, weights[mask][order], reduce="amax"
    )
    return by_text(unique.cpu().numpy(), largest.cpu().numpy(), len(pack.lengths))
