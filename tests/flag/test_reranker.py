from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tests.torch.random_reranker import PAIRS

from m3kit.flag import FlagAutoReranker, FlagReranker
from m3kit.torch.cross_encoder import CrossEncoder


def test_scores_are_a_list_always(hub: Path, reranker: FlagReranker) -> None:
    expected = CrossEncoder.from_pretrained(hub / "BAAI" / "bge-reranker-v2-m3").scores(PAIRS)
    found = reranker.compute_score(PAIRS)
    assert found == pytest.approx(expected, abs=1e-6)
    assert json.loads(json.dumps(found)) == found
    assert reranker.compute_score(PAIRS[0]) == pytest.approx(expected[:1], abs=1e-6)
    assert reranker.compute_score(list(PAIRS[0])) == pytest.approx(expected[:1], abs=1e-6)
    assert reranker.compute_score([]) == []


def test_normalized_scores_are_the_sigmoid(hub: Path, reranker: FlagReranker) -> None:
    expected = [1 / (1 + np.exp(-score)) for score in reranker.compute_score(PAIRS)]
    assert reranker.compute_score(PAIRS, normalize=True) == pytest.approx(expected, abs=1e-9)
    always = FlagReranker(str(hub / "BAAI" / "bge-reranker-v2-m3"), normalize=True, use_fp16=True)
    assert always.compute_score(PAIRS) == pytest.approx(expected, abs=1e-9)


def test_limits_and_instructions(hub: Path, reranker: FlagReranker) -> None:
    folder = str(hub / "BAAI" / "bge-reranker-v2-m3")
    model = FlagReranker(
        folder,
        query_instruction_for_rerank="ask",
        query_instruction_format="{}: {}",
        passage_instruction_for_rerank="read",
        passage_instruction_format="{}, {}",
        max_length=30,
        query_max_length=10,
    )
    pair = ("a query " * 9, "a passage " * 20)
    said = (f"ask: {pair[0]}", f"read, {pair[1]}")
    expected = reranker.compute_score(said, query_max_length=10, max_length=30)
    assert model.compute_score(pair) == expected != reranker.compute_score(said)


def test_several_devices_are_refused(hub: Path) -> None:
    folder = str(hub / "BAAI" / "bge-reranker-v2-m3")
    with pytest.raises(ValueError, match="on one device here"):
        FlagReranker(folder, devices=["cpu", "cpu"])
    assert FlagReranker(folder, devices=["cpu"]).compute_score(PAIRS[0])


def test_the_automatic_one(hub: Path, reranker: FlagReranker) -> None:
    folder = str(hub / "BAAI" / "bge-reranker-v2-m3")
    model = FlagAutoReranker.from_finetuned(folder, use_fp16=True, max_length=512)
    assert model.compute_score(PAIRS) == reranker.compute_score(PAIRS)
    named = FlagAutoReranker.from_finetuned(folder, model_class="encoder-only-base")
    assert isinstance(named, FlagReranker)
    with pytest.raises(ValueError, match="here, not 'decoder-only-layerwise'"):
        FlagAutoReranker.from_finetuned(folder, model_class="decoder-only-layerwise")
    with pytest.raises(OSError, match="from_finetuned"):
        FlagAutoReranker()
