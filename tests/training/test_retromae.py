"""RetroMAE on the tiny model, beside a computation by hand, a token at a time."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812  # PyTorch's own name for it
from tests.torch.random_checkpoint import TINY

pytest.importorskip("accelerate", reason="transformers' Trainer needs it")

from m3kit.backend.checkpoint import read_checkpoint
from m3kit.torch import TorchEncoder
from m3kit.training import PretrainOptions, TrainingDataError, TrainingError, pretrain
from m3kit.training.retromae import MaskedText, RetroMae, mask_text

MASK = 4
TEXTS = [
    "Insert a table into the document, then choose its style.",
    "Print several pages on one sheet of paper. Choose File - Print.",
    "Einen Dialog öffnen und die Zeilen einer Tabelle sortieren.",
] * 4


def tiny(positions: int | None = None) -> RetroMae:
    torch.manual_seed(1)
    return RetroMae(read_checkpoint("tiny", TINY), positions=positions)


def masked(count: int, seed: int = 0) -> MaskedText:
    random = np.random.default_rng(seed)
    ids = np.concatenate([[0], random.integers(5, 1000, count - 2), [2]])
    return mask_text(ids, random, mask=MASK, encoder_share=0.3, decoder_share=0.5)


class TestMasks:
    def test_the_encoder_does_not_see_a_share_of_the_tokens(self) -> None:
        text = masked(42)
        assert text.hidden.sum() == 12
        assert not text.hidden[[0, -1]].any()
        assert (text.masked[text.hidden] == MASK).all()
        assert (text.masked[~text.hidden] == text.ids[~text.hidden]).all()

    def test_the_decoder_sees_the_cls_and_half_of_the_others_but_never_the_token(self) -> None:
        visible = masked(42).visible
        assert visible[:, 0].all()
        assert not np.diag(visible)[1:].any()
        assert (visible[1:, 1:].sum(axis=1) == 20).all()

    def test_each_token_has_a_draw_of_its_own(self) -> None:
        visible = masked(42).visible[1:, 1:]
        assert len({row.tobytes() for row in visible}) == 41

    @pytest.mark.parametrize("count", [2, 3, 4])
    def test_short_texts_have_masks(self, count: int) -> None:
        text = masked(count)
        assert text.hidden.sum() == (count > 2)
        assert text.predicted.sum() == count - 2
        assert text.visible.shape == (count, count)


def by_hand(model: RetroMae, text: MaskedText) -> tuple[list[float], list[float]]:
    """Return the losses of the tokens that the encoder and the decoder predict."""
    backbone, decoder = model.backbone, model.decoder
    count, width = len(text.ids), backbone.config.hidden_size
    size = width // backbone.config.num_attention_heads
    words = backbone.embeddings.word_embeddings.weight
    places = backbone.embeddings.position_embeddings.weight[2 : 2 + count]
    from transformers import XLMRobertaModel

    plain = XLMRobertaModel.from_pretrained(TINY, dtype=torch.float32, add_pooling_layer=False)
    plain.train(mode=False)
    hidden = plain(torch.from_numpy(text.masked)[None]).last_hidden_state[0]

    def loss(row: torch.Tensor, token: int) -> float:
        logits = model.head(row[None], words)[0]
        return float(logits.logsumexp(0) - logits[token])

    encoder_losses = [
        loss(hidden[place], int(text.ids[place])) for place in np.flatnonzero(text.hidden)
    ]
    decoder_losses = []
    for place in range(1, count - 1):
        query = hidden[0] + places[place]
        seen = [other for other in range(count) if text.visible[place, other]]
        context = torch.stack(
            [hidden[0] if o == 0 else words[int(text.ids[o])] + places[o] for o in seen]
        )
        q, k, v = decoder.query(query), decoder.key(context), decoder.value(context)
        heads = []
        for head in range(backbone.config.num_attention_heads):
            part = slice(head * size, (head + 1) * size)
            weights = ((k[:, part] @ q[part]) / size**0.5).softmax(0)
            heads.append(weights @ v[:, part])
        row = decoder.attention_norm(decoder.output(torch.cat(heads)) + query)
        row = decoder.norm(decoder.down(F.gelu(decoder.up(row))) + row)
        decoder_losses.append(loss(row, int(text.ids[place])))
    return encoder_losses, decoder_losses


def test_the_losses_equal_those_by_hand() -> None:
    model = tiny().eval()
    texts = [masked(12, 1), masked(7, 2), masked(12, 3)]
    with torch.no_grad():
        losses = model(texts)
        hands = [by_hand(model, text) for text in texts]
    for place, name in enumerate(("encoder", "decoder")):
        expected = np.mean([loss for hand in hands for loss in hand[place]])
        assert losses[name].item() == pytest.approx(expected, abs=1e-5), name


def test_the_decoder_teaches_the_encoder_through_the_cls_vector_alone() -> None:
    model = tiny()
    model([masked(9)])["decoder"].backward()
    norm = model.backbone.encoder.layer[0].attention.self.value.weight.grad.abs().sum()
    assert norm > 0
    text = masked(9)
    blind = MaskedText(text.ids, text.masked, text.hidden, text.predicted, np.eye(9) * 0 > 0)
    blind.visible[:, 0] = True
    logits = [model([blind])["decoder"].item() for _ in range(2)]
    assert logits[0] == logits[1]


class TestPositions:
    def test_they_are_the_known_ones_over_and_over(self) -> None:
        before = tiny().backbone.embeddings.position_embeddings.weight
        known = len(before) - 2
        after = tiny(2 * known + 5).backbone.embeddings.position_embeddings.weight
        assert len(after) == 2 * known + 7
        assert torch.equal(after[: known + 2], before)
        assert torch.equal(after[known + 2 : 2 * known + 2], before[2:])
        assert torch.equal(after[2 * known + 2 :], before[2:7])

    def test_they_are_never_cut(self) -> None:
        with pytest.raises(TrainingError, match="not cut to 8"):
            tiny(8)


def run(folder: Path, **changes: object) -> PretrainOptions:
    settings = {"logging_steps": 1, "save_strategy": "no", "use_cpu": True}
    settings |= dict(changes.pop("settings", {}))  # type: ignore[call-overload]  # a mapping
    options: dict[str, object] = {"positions": None, "batch_size": 4, "learning_rate": 1e-3}
    chosen = PretrainOptions(**{**options, **changes}, settings=settings)  # type: ignore[arg-type]
    pretrain(TEXTS, folder, model="tiny", options=chosen)
    return chosen


def test_a_run_learns_and_writes_a_model_that_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    known = json.loads((TINY / "config.json").read_text())["max_position_embeddings"] - 2
    options = PretrainOptions(
        positions=known + 100,
        max_length=64,
        batch_size=4,
        learning_rate=1e-3,
        epochs=12,
        settings={"logging_steps": 1, "save_strategy": "no", "use_cpu": True},
    )
    history = pretrain(TEXTS, folder, model="tiny", options=options).history
    losses = [entry["loss_decoder"] for entry in history if "loss_decoder" in entry]
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])
    encoder = TorchEncoder.from_pretrained(folder)
    assert encoder.document_max_length == min(known + 100, 8192)
    assert encoder.dim == TorchEncoder.from_pretrained("tiny").dim


def test_a_run_that_was_stopped_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    saving = {"settings": {"save_strategy": "steps", "save_steps": 2}}
    run(tmp_path / "whole", max_steps=4, **saving)
    run(tmp_path / "parts", max_steps=4, **saving)
    parts = tmp_path / "parts"
    weights = (parts / "model.safetensors").read_bytes()
    for name in ("model.safetensors", "checkpoint-4/trainer_state.json"):
        (parts / name).unlink()
    settings = {"logging_steps": 1, "use_cpu": True, **saving["settings"]}
    options = PretrainOptions(
        positions=None, batch_size=4, learning_rate=1e-3, max_steps=4, settings=settings
    )
    pretrain(TEXTS, parts, model="tiny", options=options, resume=True)
    assert (parts / "model.safetensors").read_bytes() == weights
    assert (tmp_path / "whole" / "model.safetensors").read_bytes() == weights


def test_long_texts_are_cut_into_rows(tmp_path: Path) -> None:
    settings = {"use_cpu": True, "save_strategy": "no"}
    options = PretrainOptions(positions=None, max_length=10, max_steps=1, settings=settings)
    pretrain(["table " * 100], tmp_path / "model", model="tiny", options=options)


def test_no_text_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TrainingDataError, match="no text to pre-train on"):
        pretrain([], tmp_path / "model", model="tiny", options=PretrainOptions(positions=None))


@pytest.mark.parametrize("share", [0, 1, -0.1])
def test_a_share_of_nothing_or_all_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="encoder_share is between 0 and 1"):
        PretrainOptions(encoder_share=share)
