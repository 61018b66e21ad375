from __future__ import annotations

import contextlib
import io
import os
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.flag.snippets import PUBLISHED, SNIPPETS, run
from tests.shipped import WIDTH

from m3kit.scoring import scores
from m3kit.torch import TorchEncoder

_OBJECTS = {
    "BGEM3FlagModel",
    "FlagModel",
    "FlagReranker",
    "model",
    "output_1",
    "output_2",
    "reranker",
}


@pytest.fixture(scope="module")
def ran(hub: Path) -> dict[str, dict[str, Any]]:
    """What each snippet defines, run with another import line."""
    with contextlib.chdir(hub), redirect_stdout(io.StringIO()):
        return {name: run(name, "m3kit.flag") for name in SNIPPETS}


def _numbers(value: Any) -> Any:
    """Bring arrays, tensors and lists of them to plain numbers, dicts as they are."""
    if isinstance(value, dict):
        return {key: _numbers(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_numbers(one) for one in value]
    return value.tolist() if hasattr(value, "tolist") else value


def _close(found: Any, expected: Any, tolerance: float) -> None:
    found, expected = _numbers(found), _numbers(expected)
    if isinstance(expected, dict):
        assert list(found) == list(expected)
        for key in expected:
            _close(found[key], expected[key], tolerance)
    elif isinstance(expected, list) and expected and isinstance(expected[0], dict):
        for one, other in zip(found, expected, strict=True):
            _close(one, other, tolerance)
    else:
        np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)


def test_every_snippet_runs_with_another_import_line(ran: dict[str, dict[str, Any]]) -> None:
    assert ran["folder"]["embeddings"].shape == (1, WIDTH)
    assert ran["queries"]["scores"].shape == (2, 2)
    assert ran["similarity"]["similarity"].shape == (2, 1)
    assert ran["similarity"]["similarity"][1, 0] == pytest.approx(1, abs=1e-6)
    assert len(ran["reranker"]["scores"]) == 2


def test_the_snippets_say_what_the_encoder_says(ran: dict[str, dict[str, Any]]) -> None:
    encoder = TorchEncoder.from_pretrained("tiny")
    asked = list(encoder.encode(ran["dense"]["sentences_1"], max_length=512))
    held = list(encoder.encode(ran["dense"]["sentences_2"], max_length=512))
    dense = [scores("dense", query, held).tolist() for query in asked]
    _close(ran["dense"]["similarity"], dense, 1e-5)
    _close(ran["sparse"]["lexical_scores"], scores("sparse", asked[0], held)[0], 1e-5)
    _close(ran["sparse"]["apart"], scores("sparse", asked[0], asked)[1], 1e-5)
    colbert = [scores("colbert", query, held).tolist() for query in asked]
    _close([ran["colbert"]["near"].item(), ran["colbert"]["far"].item()], colbert[0], 1e-5)
    _close(ran["scores"]["scores"]["dense"], [*dense[0], *dense[1]], 1e-5)
    _close(ran["scores"]["scores"]["colbert"], [*colbert[0], *colbert[1]], 1e-5)


@pytest.mark.weights
@pytest.mark.skipif("M3KIT_BGE_M3" not in os.environ, reason="M3KIT_BGE_M3 names no folder")
@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_numbers(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "BAAI").mkdir()
    (tmp_path / "BAAI" / "bge-m3").symlink_to(Path(os.environ["M3KIT_BGE_M3"]).resolve())
    monkeypatch.chdir(tmp_path)
    with redirect_stdout(io.StringIO()):
        found = run(name, "m3kit.flag")
    for variable, expected in PUBLISHED[name].items():
        _close(found[variable], expected, 2e-3)


@pytest.mark.reference
@pytest.mark.filterwarnings("ignore")  # FlagEmbedding's and transformers' own
@pytest.mark.parametrize("name", SNIPPETS)
def test_flagembedding_says_the_same(name: str, hub: Path, ran: dict[str, dict[str, Any]]) -> None:
    ours = ran[name]
    with contextlib.chdir(hub), redirect_stdout(io.StringIO()):
        theirs = run(name, "FlagEmbedding")
    assert ours.keys() == theirs.keys()
    for variable in ours.keys() - _OBJECTS:
        if isinstance(theirs[variable], list) and isinstance(theirs[variable][0], str | list):
            assert ours[variable] == theirs[variable]
        else:
            _close(ours[variable], theirs[variable], 2e-3)  # theirs are of weights in fp16
