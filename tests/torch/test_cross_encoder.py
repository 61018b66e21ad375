from __future__ import annotations

import json
import logging
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from langchain_core.documents import Document as LangChainDocument
from llama_index.core.schema import NodeWithScore, TextNode
from safetensors.numpy import load_file, save_file
from tests.torch.random_checkpoint import TINY
from tests.torch.random_reranker import PAIRS, write_reranker
from tests.torch.reranker_reference import joined_ids, logits

import m3kit_langchain
import m3kit_llama_index
from m3kit import Document, MemoryIndex, Retriever
from m3kit.testing import HashEncoder
from m3kit.torch import CheckpointError, CrossEncoder
from m3kit.torch.joining import Joint
from m3kit.torch.out_of_memory import in_halves
from m3kit.vectors import Ints

_GOLDEN = Path(__file__).parent / "golden"
_TOLERANCE = 1e-5
_TEXTS = ["a bear", "The giant panda is a bear.", "hi", "tables and columns"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_reranker(tmp_path_factory.mktemp("checkpoints") / "reranker")


@pytest.fixture(scope="module")
def reranker(folder: Path) -> CrossEncoder:
    return CrossEncoder.from_pretrained(folder)


@pytest.mark.parametrize("limit", [512, 64])
def test_scores_are_those_of_transformers(reranker: CrossEncoder, limit: int) -> None:
    with np.load(_GOLDEN / "reranker.npz") as golden:
        expected = golden[str(limit)]
    found = reranker.scores(PAIRS, max_length=limit)
    np.testing.assert_allclose(found, expected, rtol=0, atol=_TOLERANCE)
    assert np.ptp(expected) > 0.5


def test_ids_are_joined_as_transformers_4_joined_them() -> None:
    join = Joint(first=0, last=2, longest=100)
    for query, passage, kept in json.loads((_GOLDEN / "joins.json").read_text()):
        expected = [0, *[10] * query, 2, 2, *[20] * kept, 2]
        assert join(np.full(query, 10), np.full(passage, 20), 32).tolist() == expected
        assert joined_ids([10] * query, [20] * passage, 32) == expected


def test_the_models_own_limit_holds_where_transformers_4_let_a_pair_grow() -> None:
    join = Joint(first=0, last=2, longest=40)
    made = join(np.full(38, 10), np.full(5, 20), 32)
    assert made.tolist() == [0, *[10] * 36, 2, 2, 2]
    assert len(join(np.full(30, 10), np.full(9, 20), 32)) == 40


@pytest.mark.parametrize("batch_tokens", [1, 100, 10_000])
def test_a_score_does_not_depend_on_its_batch(folder: Path, batch_tokens: int) -> None:
    reranker = CrossEncoder.from_pretrained(folder, batch_tokens=batch_tokens)
    alone = [reranker.scores([pair])[0] for pair in PAIRS]
    assert reranker.scores(PAIRS) == pytest.approx(alone, abs=1e-6)


def test_probabilities_are_the_sigmoid(folder: Path, reranker: CrossEncoder) -> None:
    scores = reranker.scores(PAIRS)
    expected = [1 / (1 + np.exp(-score)) for score in scores]
    assert reranker.scores(PAIRS, normalize=True) == pytest.approx(expected, abs=1e-12)
    always = CrossEncoder.from_pretrained(folder, normalize=True)
    assert always.scores(PAIRS) == reranker.scores(PAIRS, normalize=True)
    assert always.scores(PAIRS, normalize=False) == scores
    assert {type(score) for score in always.scores(PAIRS)} == {float}


def test_cut_pairs_are_said_once(reranker: CrossEncoder, caplog: pytest.LogCaptureFixture) -> None:
    pairs = [("short", "one two three four"), ("short", "table " * 12)] * 550
    with caplog.at_level(logging.WARNING, "m3kit"):
        reranker.scores(pairs, max_length=14)
    (message,) = caplog.messages
    assert message.startswith("550 of 1100 texts were longer than 14 tokens and were cut")


def test_nothing_has_no_scores(reranker: CrossEncoder) -> None:
    assert reranker.scores([]) == []
    assert reranker("query", []) == []


def test_what_is_no_pair_is_refused(reranker: CrossEncoder) -> None:
    with pytest.raises(TypeError, match=r"pairs\[1\] is not a pair of two texts: \('a',\)"):
        reranker.scores([("a", "b"), ("a",)])
    with pytest.raises(TypeError, match="not a pair"):
        reranker.scores("ab")
    with pytest.raises(ValueError, match="max_length is at least 6, not 5"):
        reranker.scores(PAIRS, max_length=5)
    with pytest.raises(ValueError, match="query_max_length is at least 1, not 0"):
        reranker.scores(PAIRS, query_max_length=0)


def test_threads_share_one(reranker: CrossEncoder) -> None:
    expected = {limit: reranker.scores(PAIRS, max_length=limit) for limit in (16, 64, 512)}
    found: list[bool] = []

    def work(limit: int) -> None:
        found.append(reranker.scores(PAIRS, max_length=limit) == expected[limit])

    threads = [threading.Thread(target=work, args=(limit,)) for limit in [16, 64, 512] * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * len(threads)


def test_what_does_not_fit_is_computed_in_halves() -> None:
    def model(texts: Sequence[Ints]) -> list[float]:
        if sum(map(len, texts)) > 10:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return [float(len(ids)) for ids in texts]

    texts = [np.zeros(length, dtype=np.int64) for length in (9, 1, 8, 2, 7, 3, 10)]
    assert in_halves(model, texts, "cuda:0", "max_length") == [9, 1, 8, 2, 7, 3, 10]
    with pytest.raises(torch.OutOfMemoryError):
        in_halves(model, [*texts, np.zeros(11, dtype=np.int64)], "cuda:0", "max_length")


def test_an_encoder_is_no_reranker(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(CheckpointError, match=r"is no reranker .* XLMRobertaForSequenceClass"):
        CrossEncoder.from_pretrained(TINY)
    two = write_reranker(tmp_path / "two")
    tensors = load_file(folder / "model.safetensors")
    name = "classifier.out_proj.weight"
    tensors[name] = np.concatenate([tensors[name]] * 2)
    save_file(tensors, two / "model.safetensors", {"format": "pt"})
    with pytest.raises(CheckpointError, match=r"out_proj.weight .* has the shape \(2, 64\)"):
        CrossEncoder.from_pretrained(two)


def test_a_retriever_takes_it(reranker: CrossEncoder) -> None:
    encoder = HashEncoder()
    retriever = Retriever(encoder, MemoryIndex(encoder.dim), reranker=reranker)
    retriever.add([Document(text, text) for text in _TEXTS])
    found = {hit.document.id: hit.score for hit in retriever.search("a bear")}
    expected = dict(zip(_TEXTS, reranker("a bear", _TEXTS), strict=True))
    assert found == pytest.approx(expected, abs=1e-6)
    assert list(found) == sorted(_TEXTS, key=expected.__getitem__, reverse=True)


def test_langchain_takes_it(reranker: CrossEncoder) -> None:
    compressor = m3kit_langchain.M3Reranker(reranker=reranker, top_n=2)
    documents = [LangChainDocument(text) for text in _TEXTS]
    found = compressor.compress_documents(documents, "a bear")
    scores = dict(zip(_TEXTS, reranker("a bear", _TEXTS), strict=True))
    best = sorted(_TEXTS, key=scores.__getitem__, reverse=True)[:2]
    assert [one.page_content for one in found] == best


def test_llama_index_takes_it(reranker: CrossEncoder) -> None:
    nodes = [NodeWithScore(node=TextNode(id_=text, text=text)) for text in _TEXTS]
    found = m3kit_llama_index.M3Reranker(reranker).postprocess_nodes(nodes, query_str="a bear")
    expected = sorted(zip(reranker("a bear", _TEXTS), _TEXTS, strict=True), reverse=True)
    assert [(one.score, one.node_id) for one in found] == expected


@pytest.mark.reference
@pytest.mark.filterwarnings("ignore")  # transformers' own
@pytest.mark.parametrize("limit", [512, 64])
def test_transformers_scores_the_same(folder: Path, reranker: CrossEncoder, limit: int) -> None:
    expected = logits(folder, PAIRS, limit)
    assert reranker.scores(PAIRS, max_length=limit) == pytest.approx(expected, abs=_TOLERANCE)
