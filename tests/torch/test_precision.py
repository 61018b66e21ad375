"""How far each precision may be from float32; `benchmarks/precision.py` prints how far it is."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.torch.corpus import texts
from tests.torch.near import assert_near
from tests.torch.reference import vectors

from m3kit.torch import TorchEncoder
from m3kit.torch.kernels import Precision, resolve
from m3kit.torch.kernels.precision import cpu_has_bf16


@pytest.mark.parametrize(
    ("precision", "cosine", "mean", "worst"),
    [("bf16", 0.9995, 0.07, 0.15), ("int8", 0.98, 0.35, 0.9)],
)
def test_it_is_close_to_float32(
    tiny: TorchEncoder, precision: Precision, cosine: float, mean: float, worst: float
) -> None:
    if precision == "bf16" and not cpu_has_bf16():
        pytest.skip("this CPU has no bf16")
    onednn = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]  # it has no types
    if precision == "int8" and not onednn:
        pytest.skip("this build of PyTorch has no oneDNN")
    some = texts(512)[::5]
    near = TorchEncoder.from_pretrained("tiny", precision=precision, device="cpu")
    assert near.model == tiny.model
    found, exact = near.encode_documents(some), tiny.encode_documents(some)
    assert_near(found, exact, cosine=cosine, mean=mean, worst=worst)


def test_auto_is_what_the_machine_has() -> None:
    cpu = torch.device("cpu")
    named, auto = (
        TorchEncoder.from_pretrained("tiny", precision=precision, device="cpu")
        for precision in (resolve("auto", cpu), "auto")
    )
    for one, other in zip(
        named.encode_queries(["a table"]), auto.encode_queries(["a table"]), strict=True
    ):
        np.testing.assert_array_equal(vectors(one)[0], vectors(other)[0])
