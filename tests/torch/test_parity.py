from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.shipped import LONGEST
from tests.torch.corpus import texts
from tests.torch.random_checkpoint import TINY, write_bert
from tests.torch.reference import dense_vectors, excerpt, m3_outputs, vectors

from m3kit.torch import TorchEncoder
from m3kit.vectors import M3Output

_GOLDEN = Path(__file__).parent / "golden"
_TOLERANCE = 1e-5


def _golden(name: str) -> dict[str, NDArray[Any]]:
    with np.load(_GOLDEN / name) as file:
        return dict(file)


def _assert_equal(found: dict[str, NDArray[Any]], golden: dict[str, NDArray[Any]]) -> None:
    for name in ("sparse_counts", "sparse_ids", "colbert_counts"):
        np.testing.assert_array_equal(found[name], golden[name], name)
    for name in ("dense", "sparse_weights", "colbert_rows"):
        np.testing.assert_allclose(found[name], golden[name], rtol=0, atol=_TOLERANCE)


def _errors(ours: list[M3Output], theirs: list[M3Output]) -> dict[str, float]:
    worst = dict.fromkeys(("dense", "sparse", "colbert"), 0.0)
    for one, other in zip(ours, theirs, strict=True):
        (dense, sparse, colbert), (dense_, sparse_, colbert_) = vectors(one), vectors(other)
        assert sparse.ids.tolist() == sparse_.ids.tolist()
        assert colbert.shape == colbert_.shape
        for name, difference in (
            ("dense", dense - dense_),
            ("sparse", sparse.weights - sparse_.weights),
            ("colbert", colbert - colbert_),
        ):
            worst[name] = max(worst[name], float(np.abs(difference).max(initial=0)))
    return worst


def test_tiny_equals_what_flagembedding_said(tiny: TorchEncoder) -> None:
    _assert_equal(excerpt(tiny.encode_documents(texts(512)), 1), _golden("tiny.npz"))


def test_random_8192_equals_what_flagembedding_said(m3_folder: Path) -> None:
    encoder = TorchEncoder.from_pretrained(m3_folder)
    _assert_equal(excerpt(encoder.encode_documents(texts(8192)), 16), _golden("random.npz"))


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_bert_equals_what_flagembedding_said(tmp_path: Path, pooling: str) -> None:
    folder = write_bert(tmp_path / "bert", "".join(texts(512)), pooling)
    encoder = TorchEncoder.from_pretrained(folder)
    assert encoder.reps == {"dense"}
    found = encoder.encode_documents(texts(512), ["dense"])
    np.testing.assert_allclose(
        np.stack([output.dense for output in found if output.dense is not None]),
        _golden("bert.npz")[pooling],
        rtol=0,
        atol=_TOLERANCE,
    )


@pytest.mark.reference
@pytest.mark.filterwarnings("ignore")  # FlagEmbedding's and transformers' own
class TestFlagEmbedding:
    @pytest.mark.parametrize("which", ["tiny", "random"])
    def test_all_vectors_equal(self, which: str, m3_folder: Path) -> None:
        folder = TINY if which == "tiny" else m3_folder
        ours = TorchEncoder.from_pretrained(folder).encode_documents(texts(LONGEST))
        errors = _errors(ours, m3_outputs(folder, texts(LONGEST), LONGEST))
        print(which, errors)  # noqa: T201  # to be read with -s
        assert max(errors.values()) <= _TOLERANCE

    @pytest.mark.parametrize("pooling", ["cls", "mean"])
    def test_bert_equals(self, tmp_path: Path, pooling: str) -> None:
        folder = write_bert(tmp_path / "bert", "".join(texts(512)), pooling)
        ours = TorchEncoder.from_pretrained(folder).encode_documents(texts(512), ["dense"])
        theirs = dense_vectors(folder, texts(512), pooling)
        found = np.stack([output.dense for output in ours if output.dense is not None])
        np.testing.assert_allclose(found, theirs, rtol=0, atol=_TOLERANCE)
