from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from tests.shipped import PIECES, WIDTH
from tests.torch.corpus import texts

from m3kit.flag import BGEM3FlagModel
from m3kit.flag.lexical import LexicalWeights
from m3kit.torch import TorchEncoder

_ALL: dict[str, Any] = {"return_dense": True, "return_sparse": True, "return_colbert_vecs": True}
_TWO = ["What is BGE M3?", "Defination of BM25"]


@pytest.fixture(scope="module")
def encoder() -> TorchEncoder:
    return TorchEncoder.from_pretrained("tiny")


def test_a_list_gives_lists_and_a_text_what_is_in_them(
    m3: BGEM3FlagModel, encoder: TorchEncoder
) -> None:
    many, one = m3.encode(_TWO, **_ALL), m3.encode(_TWO[0], **_ALL)
    assert many["dense_vecs"].shape == (2, WIDTH)
    assert one["dense_vecs"].shape == (WIDTH,)
    np.testing.assert_allclose(one["dense_vecs"], many["dense_vecs"][0], atol=1e-6)
    assert one["lexical_weights"] == pytest.approx(many["lexical_weights"][0], abs=1e-6)
    lengths = [len(tokens.ids) - 1 for tokens in encoder.tokenizer(_TWO, 512)]
    assert [v.shape for v in many["colbert_vecs"]] == [(length, WIDTH) for length in lengths]
    assert one["colbert_vecs"].shape == many["colbert_vecs"][0].shape


def test_it_says_what_the_encoder_says(m3: BGEM3FlagModel, encoder: TorchEncoder) -> None:
    some = texts(512)[::5]
    made = m3.encode(some, **_ALL)
    for place, output in enumerate(encoder.encode(some, max_length=512)):
        assert output.dense is not None
        assert output.sparse is not None
        assert output.colbert is not None
        np.testing.assert_allclose(made["dense_vecs"][place], output.dense, atol=1e-6)
        np.testing.assert_allclose(made["colbert_vecs"][place], output.colbert, atol=1e-6)
        weights = {str(id_): weight for id_, weight in output.sparse.to_dict().items()}
        assert made["lexical_weights"][place] == pytest.approx(weights, abs=1e-6)


def test_only_what_is_asked_is_given(m3: BGEM3FlagModel) -> None:
    assert [key for key, value in m3.encode(_TWO).items() if value is not None] == ["dense_vecs"]
    sparse = m3.encode("x", return_dense=False, return_sparse=True)
    assert sparse["dense_vecs"] is sparse["colbert_vecs"] is None
    with pytest.raises(ValueError, match="ask for one of return_dense"):
        m3.encode(_TWO, return_dense=False)
    other = BGEM3FlagModel("tiny", return_dense=False, return_colbert_vecs=True)
    assert [key for key, value in other.encode(_TWO).items() if value] == ["colbert_vecs"]


def test_nothing_in_nothing_out(m3: BGEM3FlagModel) -> None:
    made = m3.encode([], **_ALL)
    assert made["dense_vecs"].shape == (0, WIDTH)
    assert made["lexical_weights"] == made["colbert_vecs"] == []
    assert m3.compute_score([]) == []
    assert m3.convert_id_to_token([]) == []


def test_lexical_weights_are_fit_for_json_and_stand_in_reading_order(m3: BGEM3FlagModel) -> None:
    (weights, _) = m3.encode(_TWO, return_sparse=True)["lexical_weights"]
    assert json.loads(json.dumps(weights)) == weights
    assert {(type(id_), type(weight)) for id_, weight in weights.items()} == {(str, float)}
    tokens = m3.convert_id_to_token(weights)
    # "is" is one of the most frequent tokens, which have no weight.
    assert [token for token in tokens if token] == ["what", "b", "ge", "m", "3", "?"]


def test_a_missing_weight_is_zero_and_stays_missing() -> None:
    weights = LexicalWeights({"5": 0.5})
    assert weights["6"] == 0
    assert weights == {"5": 0.5}


def test_tokens_that_read_alike_both_stay(m3: BGEM3FlagModel, encoder: TorchEncoder) -> None:
    spelled = dict(encoder.tokenizer.spelled(np.arange(encoder.tokenizer.vocab_size)))
    ids = {token: id_ for id_, token in spelled.items()}
    word, part, other = str(ids["▁ge"]), str(ids["ge"]), str(ids["▁what"])
    found = m3.convert_id_to_token([{word: 0.5, other: 0.25, part: 0.125}])
    assert found == {"▁ge": 0.5, "what": 0.25, "ge": 0.125}
    assert m3.convert_id_to_token({part: 0.125}) == {"ge": 0.125}
    assert m3.convert_id_to_token([{word: 1}, {part: 2}]) == [{"ge": 1}, {"ge": 2}]


def test_no_token_is_lost_of_the_whole_vocabulary(m3: BGEM3FlagModel) -> None:
    weights = {str(id_): float(id_) for id_ in range(PIECES)}
    found = m3.convert_id_to_token(weights)
    assert isinstance(found, dict)
    assert list(found.values()) == list(weights.values())


def test_lexical_matching_of_all_with_all(m3: BGEM3FlagModel) -> None:
    one = [{"1": 0.5, "2": 0.25}, {}, {"3": 2.0}]
    other = [{"2": 2.0, "1": 1.0, "9": 4.0}, {"3": 0.5}, {}, {"8": 1.0}]
    scores = m3.compute_lexical_matching_score(one, other)
    assert isinstance(scores, np.ndarray)
    assert scores.dtype == np.float64
    assert scores.tolist() == [[1, 0, 0, 0], [0, 0, 0, 0], [0, 1, 0, 0]]
    single = m3.compute_lexical_matching_score(one[0], other[0])
    assert type(single) is float
    assert single == 1
    empty = m3.compute_lexical_matching_score([], other)
    assert isinstance(empty, np.ndarray)
    assert empty.shape == (0, 4)
    with pytest.raises(ValueError, match="two texts, or two lists"):
        m3.compute_lexical_matching_score(one, other[0])  # type: ignore[call-overload]  # what is tested


def test_lexical_matching_in_blocks(m3: BGEM3FlagModel, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = m3.encode(texts(512)[:60], return_sparse=True)["lexical_weights"]
    whole = m3.compute_lexical_matching_score(weights, weights)
    plain = [[m3.compute_lexical_matching_score(a, b) for b in weights] for a in weights]
    np.testing.assert_allclose(whole, plain, atol=1e-6)
    monkeypatch.setattr("m3kit.flag.lexical._CELLS", 1000)
    blocks = m3.compute_lexical_matching_score(weights, weights)
    np.testing.assert_allclose(blocks, plain, atol=1e-6)


def test_colbert_score_is_a_tensor_of_one_number(m3: BGEM3FlagModel) -> None:
    first, second = m3.encode(_TWO, return_colbert_vecs=True)["colbert_vecs"]
    score = m3.colbert_score(first, second)
    assert isinstance(score, torch.Tensor)
    assert score.shape == ()
    assert score.item() == pytest.approx(float((first @ second.T).max(1).mean()), abs=1e-6)


def test_scores_of_pairs_and_of_one(m3: BGEM3FlagModel) -> None:
    pairs = [[one, other] for one in _TWO for other in _TWO]
    many = m3.compute_score(pairs, weights_for_different_modes=[0.4, 0.2, 0.4])
    assert isinstance(many, dict)
    assert [len(values) for values in many.values()] == [4] * 5
    one = m3.compute_score(tuple(pairs[1]), weights_for_different_modes=[0.4, 0.2, 0.4])
    assert isinstance(one, dict)
    assert one == pytest.approx({mode: values[1] for mode, values in many.items()}, abs=1e-6)
    assert json.loads(json.dumps([many, one])) == [many, one]


def test_a_limit_cuts_queries_and_passages(m3: BGEM3FlagModel) -> None:
    long = "table " * 40
    whole = m3.compute_score([long, long])
    cut = m3.compute_score([long, long], max_query_length=9, max_passage_length=5)
    assert isinstance(whole, dict)
    assert isinstance(cut, dict)
    assert cut["dense"] < whole["dense"]
    assert m3.encode(long, max_length=7, return_colbert_vecs=True)["colbert_vecs"].shape[0] == 6
    short = BGEM3FlagModel("tiny", query_max_length=5, passage_max_length=9, **_ALL)
    assert short.encode_queries(long)["colbert_vecs"].shape[0] == 4
    assert short.encode_corpus(long)["colbert_vecs"].shape[0] == 8


def test_instructions_go_in_front(m3: BGEM3FlagModel) -> None:
    model = BGEM3FlagModel(
        "tiny",
        query_instruction_for_retrieval="find",
        query_instruction_format="{}\\n{}",
        passage_instruction_for_retrieval="read",
        passage_instruction_format="<{}> {}",
    )
    expected = m3.encode(["find\nit", "<read> it", "it"])["dense_vecs"]
    found = [
        model.encode_queries(["it"])["dense_vecs"][0],
        model.encode_corpus("it")["dense_vecs"],
        model.encode("it")["dense_vecs"],
    ]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_vectors_may_be_shorter(m3: BGEM3FlagModel) -> None:
    model = BGEM3FlagModel("tiny", truncate_dim=32)
    found, whole = (one.encode(_TWO, **_ALL) for one in (model, m3))
    assert found["dense_vecs"].shape == (2, 32)
    for short, long in zip(found["colbert_vecs"], whole["colbert_vecs"], strict=True):
        cut = long[:, :32] / np.linalg.norm(long[:, :32], axis=1, keepdims=True)
        np.testing.assert_allclose(short, cut, atol=1e-6)


def test_options_without_a_meaning_are_taken_and_unknown_ones_are_not() -> None:
    options: dict[str, Any] = {"use_bf16": True, "trust_remote_code": True, "batch_size": 1}
    model = BGEM3FlagModel("tiny", devices=["cpu", "cpu"], colbert_dim=WIDTH, **options)
    assert model.encode(["a", "b"], 12, convert_to_numpy=True)["dense_vecs"].shape == (2, WIDTH)
    with pytest.raises(TypeError, match="unexpected keyword argument 'pool_method'"):
        BGEM3FlagModel("tiny", pool_method="cls")  # type: ignore[call-arg]  # what is tested
    with pytest.raises(TypeError, match="unexpected keyword argument 'return_sparce'"):
        model.encode(["a"], return_sparce=True)  # type: ignore[call-arg]  # what is tested


def test_what_is_not_computed_is_refused() -> None:
    with pytest.raises(ValueError, match="normalize_embeddings=False is not computed"):
        BGEM3FlagModel("tiny", normalize_embeddings=False)
    with pytest.raises(ValueError, match='pooling_method is "cls" or "mean", not \'last_token\''):
        BGEM3FlagModel("tiny", pooling_method="last_token")
    with pytest.raises(ValueError, match=f"colbert_dim is {WIDTH} here, not 64"):
        BGEM3FlagModel("tiny", colbert_dim=64)
    with pytest.raises(ValueError, match="devices is an empty list"):
        BGEM3FlagModel("tiny", devices=[])
