"""Several CLS tokens in a text, beside transformers' model over the same ids, a text at a time."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812  # PyTorch's own name for it
from tests.torch.random_checkpoint import TINY, write_long_tiny
from tests.torch.reference import vectors

from m3kit.backend.mcls import insert_cls, longest_text
from m3kit.encoder import same_model
from m3kit.memory import MemoryIndex
from m3kit.onnx import OnnxEncoder
from m3kit.torch import TorchEncoder
from m3kit.vectors import Floats, Ints, M3Output, Sparse

transformers = pytest.importorskip("transformers", reason="the reference is transformers' model")

EVERY = 5
TEXTS = [
    "",
    "a table",
    "one two three four five",
    "one two three four five six",
    "Insert a table into the text, then choose its style. <s> is a token that somebody typed.",
    "das Verzeichnis der Dateien " * 20,
]


@pytest.fixture(scope="module")
def encoder() -> TorchEncoder:
    return TorchEncoder.from_pretrained("tiny", cls_every=EVERY)


def plainly(ids: Ints) -> M3Output:
    """Compute a text with a CLS before every block, by loops over a list of ids."""
    cls, *inside, end = ids.tolist()
    row: list[int] = []
    kind: list[str] = []
    for place, id_ in enumerate(inside or [None]):
        if place % EVERY == 0:
            row.append(cls)
            kind.append("cls" if place == 0 else "inner")
        if id_ is not None:
            row.append(id_)
            kind.append("token")
    row.append(end)
    kind.append("token")
    model = transformers.XLMRobertaModel.from_pretrained(
        TINY, dtype=torch.float32, add_pooling_layer=False
    ).eval()
    heads = {
        name: torch.load(TINY / f"{name}_linear.pt", weights_only=True)
        for name in ("sparse", "colbert")
    }
    with torch.no_grad():
        hidden = model(torch.tensor([row])).last_hidden_state[0]
        is_cls = torch.tensor([name != "token" for name in kind])
        dense = F.normalize(hidden[is_cls].mean(0), dim=-1)
        weights = torch.relu(F.linear(hidden, *_float(heads["sparse"]))).squeeze(1)
        colbert = F.normalize(F.linear(hidden[~is_cls], *_float(heads["colbert"])), dim=-1)
    largest: dict[int, float] = {}
    for id_, name, weight in zip(row, kind, weights.tolist(), strict=True):
        if name == "token" and id_ not in {0, 1, 2, 3} and weight > largest.get(id_, 0):
            largest[id_] = weight
    return M3Output(dense=dense.numpy(), sparse=Sparse.from_dict(largest), colbert=colbert.numpy())


def _float(head: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    return head["weight"].float(), head["bias"].float()


def _assert_close(ours: M3Output, reference: M3Output) -> None:
    (dense, sparse, colbert), (dense_, sparse_, colbert_) = vectors(ours), vectors(reference)
    np.testing.assert_allclose(dense, dense_, rtol=0, atol=2e-6)
    np.testing.assert_allclose(colbert, colbert_, rtol=0, atol=2e-6)
    assert sparse.ids.tolist() == sparse_.ids.tolist()
    np.testing.assert_allclose(sparse.weights, sparse_.weights, rtol=0, atol=2e-6)


def test_all_three_equal_a_plain_computation_in_any_batch(encoder: TorchEncoder) -> None:
    ids = [tokens.ids for tokens in encoder.document_ids(TEXTS)]
    for ours, text in zip(encoder.encode_documents(TEXTS), ids, strict=True):
        _assert_close(ours, plainly(text))


def test_a_text_within_one_block_has_the_vectors_of_a_single_cls(encoder: TorchEncoder) -> None:
    usual = TorchEncoder.from_pretrained("tiny")
    short, long = TEXTS[1], TEXTS[5]
    _assert_close(encoder.encode_documents([short])[0], usual.encode_documents([short])[0])
    dense: list[Floats] = [vectors(e.encode_documents([long])[0])[0] for e in (encoder, usual)]
    assert np.abs(dense[0] - dense[1]).max() > 1e-3


def test_an_index_tells_vectors_with_inner_cls_from_others(encoder: TorchEncoder) -> None:
    usual = TorchEncoder.from_pretrained("tiny")
    assert encoder.model == f"{usual.model}-cls{EVERY}"
    assert not same_model(encoder.model, usual.model)
    MemoryIndex(model=encoder.model)


@pytest.mark.parametrize("positions", range(4, 40))
def test_the_longest_text_fits_with_its_inner_cls_and_a_longer_does_not(positions: int) -> None:
    longest = longest_text(positions, EVERY)
    ids = np.arange(longest + 1)
    assert len(insert_cls(ids[:longest], EVERY)) <= positions
    assert len(insert_cls(ids, EVERY)) > positions


def test_a_text_at_the_limit_is_encoded(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = write_long_tiny(tmp_path / "long", 66)
    encoder = TorchEncoder.from_pretrained(folder, cls_every=EVERY)
    with caplog.at_level(logging.WARNING, logger="m3kit"):
        (output,) = encoder.encode_documents(["table " * 200])
    assert encoder.document_max_length == longest_text(64, EVERY)
    assert len(vectors(output)[2]) == encoder.document_max_length - 1
    assert "were cut" in caplog.text or "was cut" in caplog.text


@pytest.mark.parametrize("wrong", [0, -1, True])
def test_a_block_without_tokens_is_refused(wrong: int) -> None:
    with pytest.raises(ValueError, match="cls_every is the number of tokens to a CLS"):
        TorchEncoder.from_pretrained("tiny", cls_every=wrong)


def test_a_model_that_pools_by_the_mean_is_refused() -> None:
    with pytest.raises(ValueError, match="pools by mean; leave it out"):
        TorchEncoder.from_pretrained("tiny", cls_every=256, pooling="mean")


def test_a_graph_is_refused() -> None:
    with pytest.raises(ValueError, match=r"leave cls_every out, or .*TorchEncoder"):
        OnnxEncoder.from_pretrained("tiny", cls_every=256)  # type: ignore[arg-type]  # refused
