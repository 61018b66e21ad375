from __future__ import annotations

import numpy as np
import pytest

from m3kit.scoring import maxsim
from m3kit.torch import Passages
from m3kit.torch.kernels.precision import cpu_has_bf16
from m3kit.vectors import Floats


def _unit(rows: int, seed: int) -> Floats:
    vectors = np.random.default_rng(seed).standard_normal((rows, 64), dtype=np.float32)
    unit: Floats = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


_DOCUMENTS = [_unit(n, n) for n in range(1, 60)]
_QUERIES = [_unit(n, 100 + n) for n in (1, 5, 70)]


@pytest.mark.parametrize("query", _QUERIES, ids=len)
def test_scores_are_those_of_maxsim(query: Floats) -> None:
    passages = Passages(_DOCUMENTS, precision="fp32")
    assert len(passages) == len(_DOCUMENTS)
    np.testing.assert_allclose(passages(query), maxsim(query, _DOCUMENTS), atol=1e-6)
    assert passages(query).dtype == np.float32


@pytest.mark.skipif(not cpu_has_bf16(), reason="this CPU does not compute bf16 in hardware")
@pytest.mark.parametrize("query", _QUERIES, ids=len)
def test_bf16_is_close(query: Floats) -> None:
    found = Passages(_DOCUMENTS, precision="bf16")(query)
    np.testing.assert_allclose(found, maxsim(query, _DOCUMENTS), atol=5e-3)
    np.testing.assert_array_equal(Passages(_DOCUMENTS)(query), found)


def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(ValueError, match="precision is one of"):
        Passages(_DOCUMENTS, precision="fp64")  # type: ignore[arg-type]  # what is tested
