"""Models in forked and spawned processes, pickled and copied."""

from __future__ import annotations

import copy
import multiprocessing
import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.processes import in_fork, pickled
from tests.shipped import WIDTH
from tests.torch.random_checkpoint import TINY
from tests.torch.random_reranker import write_reranker

from m3kit import CachedEncoder
from m3kit.flag import BGEM3FlagModel, FlagReranker
from m3kit.torch import CheckpointError, CrossEncoder, TorchEncoder
from m3kit.torch.forks import check_process

_TEXTS = ["hello", "a table of pandas " * 200]


@pytest.fixture(scope="module")
def reranker(tmp_path_factory: pytest.TempPathFactory) -> CrossEncoder:
    folder = write_reranker(tmp_path_factory.mktemp("checkpoints") / "reranker")
    return CrossEncoder.from_pretrained(folder, max_length=100, normalize=True)


def _vectors(encoder: Any) -> list[list[float]]:
    return [output.dense.tolist() for output in encoder.encode_documents(_TEXTS)]


def test_a_forked_process_computes(tiny: TorchEncoder, reranker: CrossEncoder) -> None:
    expected = _vectors(tiny), reranker("hello", _TEXTS)

    def child() -> bool:
        vectors, scores = _vectors(tiny), reranker("hello", _TEXTS)
        return scores == pytest.approx(expected[1], abs=1e-5) and all(
            got == pytest.approx(want, abs=1e-5)
            for got, want in zip(vectors, expected[0], strict=True)
        )

    assert in_fork(child) == "True"


def test_a_model_of_an_accelerator_says_that_it_needs_spawn() -> None:
    check_process(os.getpid(), torch.device("cuda"))
    check_process(0, torch.device("cpu"))
    with pytest.raises(RuntimeError, match="spawn"):
        check_process(0, torch.device("cuda:1"))


@pytest.mark.parametrize("duplicate", [pickled, copy.deepcopy])
def test_pickled_and_copied_encoders_are_equal(duplicate: Any) -> None:
    encoder = TorchEncoder.from_pretrained("tiny", document_max_length=20)
    for other in (duplicate(encoder), duplicate(CachedEncoder(encoder))):
        assert other.model == encoder.model
        assert _vectors(other) == _vectors(encoder)


def test_a_pickle_holds_no_weights(tiny: TorchEncoder) -> None:
    assert len(pickle.dumps(tiny)) < 1000


def test_a_copy_in_the_same_process_is_the_same_object(tiny: TorchEncoder) -> None:
    assert copy.copy(tiny) is tiny
    assert copy.deepcopy({"encoder": tiny})["encoder"] is tiny


@pytest.mark.parametrize("duplicate", [pickled, copy.deepcopy])
def test_pickled_and_copied_rerankers_are_equal(reranker: CrossEncoder, duplicate: Any) -> None:
    other = duplicate(reranker)
    assert (other.model, other("hello", _TEXTS)) == (reranker.model, reranker("hello", _TEXTS))


def test_models_of_flag_are_pickled(tmp_path: Path) -> None:
    model = BGEM3FlagModel("tiny", devices="cpu", return_sparse=True)
    other = pickled(model)
    assert other.encode("hello")["lexical_weights"] == model.encode("hello")["lexical_weights"]
    scoring = FlagReranker(str(write_reranker(tmp_path / "reranker")), devices="cpu")
    pair = ("hello", "a table")
    assert pickled(scoring).compute_score(pair) == scoring.compute_score(pair)


def test_a_relative_folder_is_found_from_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(TINY, tmp_path / "checkpoint")
    monkeypatch.chdir(tmp_path)
    content = pickle.dumps(TorchEncoder.from_pretrained("checkpoint"))
    monkeypatch.chdir("/")
    assert pickle.loads(content).dim == WIDTH  # noqa: S301  # just made


def test_other_weights_at_the_same_place_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint"
    shutil.copytree(TINY, folder)
    content = pickle.dumps(TorchEncoder.from_pretrained(folder))
    (folder / "colbert_linear.pt").unlink()
    (folder / "sparse_linear.pt").unlink()
    with pytest.raises(CheckpointError, match="load it from the same files"):
        pickle.loads(content)  # noqa: S301  # just made


@pytest.mark.slow
def test_a_spawned_process_computes(tiny: TorchEncoder, reranker: CrossEncoder) -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(_vectors, (tiny,)) == _vectors(tiny)
        assert pool.apply(reranker, ("hello", _TEXTS)) == reranker("hello", _TEXTS)


@pytest.mark.gpu
def test_a_forked_process_is_told_to_spawn() -> None:
    encoder = TorchEncoder.from_pretrained("tiny", device="cuda")
    _vectors(encoder)
    assert "spawn" in in_fork(lambda: _vectors(encoder))
