"""Side by side with FlagEmbedding's own classes: values, types, shapes, signatures."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.torch.corpus import texts
from tests.torch.random_checkpoint import TINY
from tests.torch.random_reranker import PAIRS
from tests.torch.reranker_reference import joined_ids

import m3kit.flag
from m3kit.flag import BGEM3FlagModel, FlagModel, FlagReranker
from m3kit.torch import TorchEncoder

pytestmark = [
    pytest.mark.reference,
    pytest.mark.filterwarnings("ignore"),  # FlagEmbedding's and transformers' own
]

_EXACT: dict[str, Any] = {"use_fp16": False, "devices": "cpu"}
_ALL: dict[str, Any] = {"return_dense": True, "return_sparse": True, "return_colbert_vecs": True}
_SOME = [*texts(512)[::9], "", " ", "<mask> </s>"]
_QUESTIONS = ["What is BGE M3?", "", "表の列の幅を変更する", "what is what is"]
_KEPT: dict[str, Any] = {
    "passage_instruction_for_retrieval": "read: ",
    "passage_instruction_format": "{}{}",
}
_ASKED: dict[str, Any] = {
    "query_instruction_for_retrieval": "ask",
    "query_instruction_format": "{}\\n{}",
}


@pytest.fixture(scope="module")
def flag() -> Any:
    return import_module("FlagEmbedding")


@pytest.fixture(scope="module")
def ours() -> BGEM3FlagModel:
    return BGEM3FlagModel(str(TINY), **_EXACT, **_KEPT, **_ASKED)


@pytest.fixture(scope="module")
def theirs(flag: Any) -> Any:
    return flag.BGEM3FlagModel(str(TINY), **_EXACT, **_KEPT, **_ASKED)


def _same(found: Any, expected: Any) -> None:
    """Compare values to 1e-5, and types: Python's floats stand for NumPy's."""
    if isinstance(expected, dict):
        assert isinstance(found, dict)
        assert list(found) == list(expected)
        for key in expected:
            _same(found[key], expected[key])
    elif isinstance(expected, list):
        assert isinstance(found, list)
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            _same(one, other)
    elif isinstance(expected, np.floating | float):
        assert type(found) is float
        assert found == pytest.approx(float(expected), abs=1e-5)
    elif isinstance(expected, np.ndarray | torch.Tensor):
        assert type(found) is type(expected)
        assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    else:
        assert found is expected is None


@pytest.mark.parametrize("method", ["encode", "encode_queries", "encode_corpus"])
@pytest.mark.parametrize("given", [_SOME, "What is BGE M3?", ["one"], ""])
def test_encoding(ours: BGEM3FlagModel, theirs: Any, method: str, given: Any) -> None:
    for options in (_ALL, {}, {"return_dense": False, "return_sparse": True, "max_length": 9}):
        found = getattr(ours, method)(given, **options)
        _same(found, getattr(theirs, method)(given, batch_size=4, **options))


@pytest.mark.parametrize("options", [{"truncate_dim": 40}, {"pooling_method": "mean"}])
def test_other_vectors(flag: Any, options: dict[str, Any]) -> None:
    models = [
        kind(str(TINY), **_EXACT, **options) for kind in (BGEM3FlagModel, flag.BGEM3FlagModel)
    ]
    found, expected = (model.encode(_SOME, **_ALL) for model in models)
    _same(found, expected)


def test_all_tokens(ours: BGEM3FlagModel, theirs: Any) -> None:
    size = TorchEncoder.from_pretrained("tiny").tokenizer.vocab_size
    single = [{str(id_): 1.0} for id_ in range(size)]
    assert ours.convert_id_to_token(single) == theirs.convert_id_to_token(single)
    weights = theirs.encode(_QUESTIONS, return_sparse=True)["lexical_weights"]
    for given in (weights, weights[:1], weights[0]):
        assert ours.convert_id_to_token(given) == theirs.convert_id_to_token(given)


def test_matching(ours: BGEM3FlagModel, theirs: Any) -> None:
    weights = ours.encode(_SOME, return_sparse=True)["lexical_weights"]
    given = theirs.encode(_SOME, return_sparse=True)["lexical_weights"]
    _same(
        ours.compute_lexical_matching_score(weights[:5], weights),
        theirs.compute_lexical_matching_score(given[:5], given),
    )
    _same(
        ours.compute_lexical_matching_score(weights[0], weights[0]),
        theirs.compute_lexical_matching_score(given[0], given[0]),
    )
    vectors = theirs.encode(_QUESTIONS, return_colbert_vecs=True)["colbert_vecs"]
    for one in vectors:
        _same(ours.colbert_score(vectors[0], one), theirs.colbert_score(vectors[0], one))


@pytest.mark.parametrize("weights", [None, [0.4, 0.2, 0.4]])
def test_scores(ours: BGEM3FlagModel, theirs: Any, weights: list[float] | None) -> None:
    pairs = [[question, text] for question in _QUESTIONS[:1] for text in _SOME[:20]]
    for given in (pairs, [], pairs[0], tuple(pairs[1])):
        options: dict[str, Any] = {
            "max_passage_length": 128,
            "weights_for_different_modes": weights,
        }
        found = ours.compute_score(given, **options)
        _same(found, theirs.compute_score(given, batch_size=1, **options))


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_dense_models(flag: Any, hub: Path, pooling: str) -> None:
    folder = str(hub / "BAAI" / "bge-large-zh-v1.5")
    options = {**_EXACT, **_KEPT, **_ASKED, "pooling_method": pooling}
    models = [kind(folder, **options) for kind in (FlagModel, flag.FlagModel)]
    for method in ("encode", "encode_queries", "encode_corpus"):
        for given in (_SOME, "a text"):
            for more in ({}, {"convert_to_numpy": False}, {"max_length": 9}):
                found, expected = (getattr(model, method)(given, **more) for model in models)
                _same(found, expected)


def _as_before(query: list[int], passage: list[int], *, max_length: int, **_: Any) -> Any:
    ids = joined_ids(query, passage, max_length)
    return {"input_ids": ids, "attention_mask": [1] * len(ids)}


def test_rerankers(flag: Any, hub: Path) -> None:
    folder = str(hub / "BAAI" / "bge-reranker-v2-m3")
    options = {**_EXACT, "query_instruction_for_rerank": "ask: "}
    kinds: tuple[Any, ...] = FlagReranker, flag.FlagReranker
    models = [kind(folder, **options) for kind in kinds]
    models[1].tokenizer.prepare_for_model = _as_before  # which they use where there is one
    for given in (PAIRS, PAIRS[:1], PAIRS[0], list(PAIRS[1])):
        for more in ({}, {"normalize": True}, {"max_length": 40, "query_max_length": 12}):
            found, expected = (model.compute_score(given, **more) for model in models)
            _same(found, expected)


@pytest.mark.parametrize(
    ("name", "methods"),
    [
        (
            "BGEM3FlagModel",
            [
                "__init__",
                "encode",
                "encode_queries",
                "encode_corpus",
                "convert_id_to_token",
                "compute_lexical_matching_score",
                "colbert_score",
                "compute_score",
            ],
        ),
        ("FlagModel", ["__init__", "encode", "encode_queries", "encode_corpus"]),
        ("FlagReranker", ["__init__"]),
        ("FlagAutoModel", ["from_finetuned"]),
        ("FlagAutoReranker", ["from_finetuned"]),
    ],
)
def test_signatures(flag: Any, name: str, methods: list[str]) -> None:
    def parameters(method: Callable[..., Any]) -> list[tuple[str, Any]]:
        every = inspect.signature(method).parameters.values()
        return [(one.name, one.default) for one in every if one.kind is one.POSITIONAL_OR_KEYWORD]

    for method in methods:
        found, expected = (
            parameters(getattr(getattr(package, name), method)) for package in (m3kit.flag, flag)
        )
        assert found == expected, (name, method)
