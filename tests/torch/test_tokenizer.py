from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.torch.corpus import texts
from tests.torch.random_checkpoint import TINY, write_bert
from tests.torch.reference import token_ids

from m3kit.backend import pieces
from m3kit.backend.tokenizer import TextTokenizer, load_tokenizer
from m3kit.torch import CheckpointError

_GOLDEN = Path(__file__).parent / "golden"
_XLM_ROBERTA = {"model_type": "xlm-roberta"}
_BERT = {"model_type": "bert"}
_ENDLESS = 10**9


def _bert(folder: Path, **settings: Any) -> Path:
    write_bert(folder, "".join(texts(512)))
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))
    return folder


def _ids(tokenizer: TextTokenizer, some: list[str]) -> list[list[int]]:
    return [tokens.ids.tolist() for tokens in tokenizer(some, _ENDLESS)]


@pytest.mark.parametrize("name", ["xlmr", "bert"])
def test_ids_are_those_that_transformers_gave(name: str, tmp_path: Path) -> None:
    folder = _GOLDEN / "xlmr" if name == "xlmr" else _bert(tmp_path)
    tokenizer = load_tokenizer(folder, _XLM_ROBERTA if name == "xlmr" else _BERT)
    ids = _ids(tokenizer, texts(512))
    with np.load(_GOLDEN / "tokens.npz") as golden:
        assert [len(one) for one in ids] == golden[f"{name}_counts"].tolist()
        assert np.concatenate(ids).tolist() == golden[f"{name}_ids"].tolist()


@pytest.mark.parametrize("name", ["xlmr", "bert", "tiny"])
@given(
    text=st.text(
        st.sampled_from("aé漢ำ์.,<\u0301\u200d\ufeff\u00a0\u3000¨")
        | st.sampled_from(" \n\t")
        | st.characters(exclude_categories=["Cs"]),
        max_size=60,
    ),
    limit=st.integers(3, 30),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_pieces_have_the_tokens_of_the_whole(
    name: str, tokenizers: Mapping[str, TextTokenizer], text: str, limit: int
) -> None:
    tokenizer = tokenizers[name]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pieces, "PIECE", 4)
        apart = tokenizer([text, "a table", text], limit)
    whole = tokenizer([text, "a table", text], limit)
    assert [(tokens.ids.tolist(), tokens.full) for tokens in apart] == [
        (tokens.ids.tolist(), tokens.full) for tokens in whole
    ]


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, TextTokenizer]:
    bert = _bert(tmp_path_factory.mktemp("bert"))
    return {
        "xlmr": load_tokenizer(_GOLDEN / "xlmr", _XLM_ROBERTA),
        "bert": load_tokenizer(bert, _BERT),
        "tiny": load_tokenizer(TINY, _XLM_ROBERTA),
    }


@pytest.mark.parametrize("name", ["xlmr", "bert", "tiny"])
def test_long_texts_are_divided(name: str, tokenizers: Mapping[str, TextTokenizer]) -> None:
    text = " ".join(texts(512)) * 20
    assert len(text) > 4 * pieces.PIECE
    divide = tokenizers[name]._divide
    assert "".join(divide(text)) == text
    assert max(map(len, divide(text))) < 1.1 * pieces.PIECE
    (apart,) = tokenizers[name]([text], 100)
    (whole,) = TextTokenizer(tokenizers[name]._tokenizer, [])([text], 100)
    assert (apart.ids.tolist(), apart.full) == (whole.ids.tolist(), whole.full)


def test_a_word_of_any_length_is_counted_within_a_few_tokens(
    tokenizers: Mapping[str, TextTokenizer],
) -> None:
    word = "漢字表" * 200_000
    (apart,) = tokenizers["xlmr"]([word], 8192)
    (whole,) = TextTokenizer(tokenizers["xlmr"]._tokenizer, [])([word], 8192)
    assert apart.ids.tolist() == whole.ids.tolist()
    assert abs(apart.full - whole.full) <= 10


@pytest.mark.parametrize("end", [" ", "\n", "  \t"])
def test_blanks_at_the_end_are_no_tokens(end: str) -> None:
    tokenizer = load_tokenizer(_GOLDEN / "xlmr", _XLM_ROBERTA)
    assert _ids(tokenizer, ["a table" + end]) == _ids(tokenizer, ["a table"])


def test_a_long_text_keeps_its_first_tokens_and_the_closing_one() -> None:
    tokenizer = load_tokenizer(TINY, _XLM_ROBERTA)
    (whole,) = tokenizer(["one two three four five six"], _ENDLESS)
    (cut,) = tokenizer(["one two three four five six"], 5)
    assert cut.ids.tolist() == [*whole.ids[:4], whole.ids[-1]]
    assert cut.full == whole.full == len(whole.ids)


@pytest.mark.parametrize(
    ("text", "same_as"),
    [
        ("a \ud83d b", "a \ufffd b"),
        ("a \ude00", "a \ufffd"),
        ("\ud83d\ud83d", "\ufffd\ufffd"),
        ("\ud83d\ude00", "\U0001f600"),
    ],
)
def test_a_lone_surrogate_counts_as_the_replacement_character(text: str, same_as: str) -> None:
    tokenizer = load_tokenizer(TINY, _XLM_ROBERTA)
    assert _ids(tokenizer, [text]) == _ids(tokenizer, [same_as])


def test_special_ids_without_weight() -> None:
    assert load_tokenizer(TINY, _XLM_ROBERTA).unweighted.tolist() == [0, 1, 2, 3]


def test_no_tokenizer_file_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no tokenizer\.json.*save_pretrained"):
        load_tokenizer(tmp_path, _BERT)


def test_a_broken_tokenizer_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"cannot read .*tokenizer\.json"):
        load_tokenizer(tmp_path, _BERT)


def test_other_special_tokens_around_a_text_are_refused(tmp_path: Path) -> None:
    content = json.loads((TINY / "tokenizer.json").read_text())
    (tmp_path / "tokenizer.json").write_text(json.dumps(content | {"post_processor": None}))
    shutil.copy(TINY / "tokenizer_config.json", tmp_path)
    with pytest.raises(CheckpointError, match="one special token before a text and one after"):
        load_tokenizer(tmp_path, _XLM_ROBERTA)


def test_an_unknown_special_token_is_named(tmp_path: Path) -> None:
    _bert(tmp_path, cls_token="[FIRST]")  # noqa: S106  # no secret
    with pytest.raises(CheckpointError, match=r"does not know .* '\[FIRST\]'"):
        load_tokenizer(tmp_path, _BERT)


def test_a_special_token_without_content_is_refused(tmp_path: Path) -> None:
    _bert(tmp_path, cls_token={"lstrip": False})
    with pytest.raises(CheckpointError, match="does not know its special token"):
        load_tokenizer(tmp_path, _BERT)


@pytest.mark.reference
@pytest.mark.filterwarnings("ignore")  # transformers' own
class TestTransformers:
    def _assert_equal(self, folder: Path, config: dict[str, str]) -> None:
        (folder / "config.json").write_text(json.dumps(config))
        ours = load_tokenizer(folder, config)
        ids, unweighted = token_ids(folder, texts(512))
        assert _ids(ours, texts(512)) == ids
        assert set(ours.unweighted.tolist()) == unweighted

    @pytest.mark.parametrize(
        "kind",
        ["XLMRobertaTokenizer", "XLMRobertaTokenizerFast", "PreTrainedTokenizerFast", None],
    )
    def test_xlm_roberta(self, tmp_path: Path, kind: str | None) -> None:
        folder = Path(shutil.copytree(_GOLDEN / "xlmr", tmp_path / "xlmr"))
        path = folder / "tokenizer_config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"tokenizer_class": kind}))
        self._assert_equal(folder, _XLM_ROBERTA)

    @pytest.mark.parametrize(
        "settings",
        [
            {},
            {"do_lower_case": False},
            {"strip_accents": False},
            {"tokenize_chinese_chars": False},
            {"tokenizer_class": None},
            {
                "tokenizer_class": "PreTrainedTokenizerFast",
                "cls_token": "[CLS]",
                "pad_token": "[PAD]",
                "unk_token": "[UNK]",
            },
        ],
    )
    def test_bert(self, tmp_path: Path, settings: dict[str, Any]) -> None:
        self._assert_equal(_bert(tmp_path, **settings), _BERT)

    def test_tiny(self, tmp_path: Path) -> None:
        folder = Path(shutil.copytree(TINY, tmp_path / "tiny"))
        self._assert_equal(folder, _XLM_ROBERTA)
