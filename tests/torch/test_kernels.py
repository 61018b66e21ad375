from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812  # PyTorch's own name for it
from tests.torch.reference import vectors

from m3kit.torch import TorchEncoder
from m3kit.torch.kernels import Precision, choice, pack, resolve
from m3kit.torch.kernels.linear import Int8, Plain, Prepacked
from m3kit.torch.kernels.precision import cpu_has_bf16

CPU = torch.device("cpu")
needs_onednn = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available(),  # type: ignore[no-untyped-call]  # PyTorch has no types there
    reason="this build of PyTorch has no oneDNN",
)
_TOLERANCES: dict[Precision, float] = {"fp32": 1e-5, "bf16": 0.05, "int8": 0.1}


def _problem(
    outputs: int = 96, inputs: int = 64, rows: int = 40
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(5)
    weight = torch.randn(outputs, inputs, generator=random) * inputs**-0.5
    return (
        weight,
        torch.randn(outputs, generator=random),
        torch.randn(rows, inputs, generator=random),
    )


@needs_onednn
@pytest.mark.parametrize("precision", _TOLERANCES)
def test_every_kernel_computes_what_pytorch_computes(precision: Precision) -> None:
    if precision == "bf16" and not cpu_has_bf16():
        pytest.skip("this CPU has no bf16")
    weight, bias, x = _problem()
    for make in choice.candidates(precision):
        assert choice.computes(make, weight, bias, x, _TOLERANCES[precision])


@needs_onednn
@pytest.mark.parametrize("precision", _TOLERANCES)
def test_rows_of_a_packed_matrix_depend_on_no_other_row(precision: Precision) -> None:
    weight, bias, x = _problem()
    kernel = pack(weight, bias, precision)
    if isinstance(kernel, Plain):
        pytest.skip("this build of PyTorch has no oneDNN, and its own products differ by size")
    whole = kernel.gelu(x)
    for count in (2, 3, 7, 16, 33):
        assert torch.equal(kernel.gelu(x[:count]), whole[:count])


def test_equal_texts_have_equal_vectors_in_whatever_batch(tiny: TorchEncoder) -> None:
    if isinstance(pack(*_problem()[:2], "fp32"), Plain):
        pytest.skip("this build of PyTorch has no oneDNN, and its own products differ by size")
    (alone,) = tiny.encode_documents(["how wide is a table?"])
    others = [f"text {number} " + "more " * (number % 40) for number in range(90)]
    for place in (0, 30, 90):
        among = [*others[:place], "how wide is a table?", *others[place:]]
        found = tiny.encode_documents(among)[place]
        (dense, sparse, colbert), (dense_, sparse_, colbert_) = vectors(found), vectors(alone)
        assert np.array_equal(dense, dense_)
        assert sparse.to_dict() == sparse_.to_dict()
        assert np.array_equal(colbert, colbert_)


def test_a_packed_matrix_needs_the_original_no_more() -> None:
    weight, bias, x = _problem()
    kernel = pack(weight.clone(), bias.clone(), "fp32")
    torch.testing.assert_close(kernel(x), F.linear(x, weight, bias))


@needs_onednn
class TestInt8:
    def test_a_row_of_great_numbers_costs_the_others_nothing(self) -> None:
        weight, bias, x = _problem()
        kernel = Int8(weight, bias)
        among = torch.cat([x, 1000 * x[:1]])
        assert torch.equal(kernel(among)[:-1], kernel(x))

    def test_zeros_stay_what_they_are(self) -> None:
        weight, bias, x = _problem()
        weight[3] = 0
        torch.testing.assert_close(Int8(weight, bias)(torch.zeros_like(x)), bias.expand(40, -1))


class TestChoice:
    def test_a_kernel_that_is_not_there_is_passed_over(self) -> None:
        def lacking(weight: torch.Tensor, bias: torch.Tensor) -> Prepacked:
            ops: Any = torch.ops.mkldnn
            raise AssertionError(ops.no_such_operator(weight, bias))

        assert not choice.computes(lacking, *_problem(), 1.0)

    def test_a_kernel_that_computes_wrong_is_passed_over(self) -> None:
        def wrong(weight: torch.Tensor, bias: torch.Tensor) -> Plain:
            return Plain(weight, bias + 1e-3, torch.float32)

        assert not choice.computes(wrong, *_problem(), 1e-4)
        assert choice.computes(wrong, *_problem(), 1e-2)

    def test_the_faster_of_two_is_taken(self) -> None:
        class Slow(Plain):
            def __call__(self, x: torch.Tensor, /) -> torch.Tensor:
                for _ in range(8):
                    super().__call__(x)
                return super().__call__(x)

        def slow(weight: torch.Tensor, bias: torch.Tensor) -> Plain:
            return Slow(weight, bias, torch.float32)

        def quick(weight: torch.Tensor, bias: torch.Tensor) -> Plain:
            return Plain(weight, bias, torch.float32)

        assert choice.fastest([slow, quick], *_problem(256, 256)) is quick
        assert choice.fastest([quick, slow], *_problem(256, 256)) is quick


class TestPrecision:
    @pytest.mark.parametrize(
        ("wanted", "device", "meant"),
        [
            ("fp32", "cpu", "fp32"),
            ("int8", "cpu", "int8"),
            ("auto", "cuda", "fp16"),
            ("bf16", "cuda", "bf16"),
            ("fp16", "mps", "fp16"),
        ],
    )
    def test_what_it_means(self, wanted: str, device: str, meant: str) -> None:
        assert resolve(wanted, torch.device(device)) == meant

    @pytest.mark.parametrize(
        ("wanted", "device", "said"),
        [
            ("fp16", "cpu", r'fp16 is for accelerators; on a CPU pass precision="auto"'),
            ("int8", "cuda:1", r'int8 is for CPUs; on cuda:1 pass precision="fp16"'),
            ("half", "cpu", r"precision is one of .*'auto'\), not 'half'"),
        ],
    )
    def test_what_is_refused(self, wanted: str, device: str, said: str) -> None:
        with pytest.raises(ValueError, match=said):
            resolve(wanted, torch.device(device))

    @pytest.mark.parametrize("capable", [True, False])
    def test_bf16_is_for_cpus_that_have_it(
        self, monkeypatch: pytest.MonkeyPatch, *, capable: bool
    ) -> None:
        said = {"avx512_f": True, "avx512_bf16": capable}
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: said, raising=False)
        assert cpu_has_bf16() is capable
        if capable:
            assert resolve("auto", CPU) == resolve("bf16", CPU) == "bf16"
        else:
            assert resolve("auto", CPU) == "fp32"
            with pytest.raises(ValueError, match=r'in hardware.*pass precision="auto"'):
                resolve("bf16", CPU)

    def test_an_encoder_refuses_it_before_it_loads(self) -> None:
        options: dict[str, Any] = {"precision": "fp16", "device": "cpu"}
        with pytest.raises(ValueError, match="fp16 is for accelerators"):
            TorchEncoder.from_pretrained("tiny", **options)
