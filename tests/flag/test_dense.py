from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.torch.corpus import texts
from tests.torch.random_checkpoint import write_bert, write_pooling

from m3kit.flag import BGEM3FlagModel, FlagAutoModel, FlagModel
from m3kit.torch import TorchEncoder

_ZH = "为这个句子生成表示以用于检索相关文章:"


def test_a_list_gives_a_matrix_and_a_text_a_vector(dense: FlagModel) -> None:
    many, one = dense.encode(["one", "two"]), dense.encode("one")
    assert isinstance(many, np.ndarray)
    assert many.shape == (2, 64)
    assert many.dtype == np.float32
    np.testing.assert_allclose(one, many[0], atol=1e-6)
    assert dense.encode([]).shape == (0, 64)


def test_tensors_if_asked(dense: FlagModel) -> None:
    made = dense.encode(["one", "two"], convert_to_numpy=False)
    assert isinstance(made, torch.Tensor)
    np.testing.assert_array_equal(made.numpy(), dense.encode(["one", "two"]))


def test_the_instruction_is_for_queries(hub: Path, dense: FlagModel) -> None:
    folder = str(hub / "BAAI" / "bge-large-zh-v1.5")
    model = FlagModel(folder, query_instruction_for_retrieval=_ZH, use_fp16=True)
    np.testing.assert_allclose(
        model.encode_queries(["样例"]), dense.encode([f"{_ZH}样例"]), atol=1e-6
    )
    np.testing.assert_allclose(model.encode_corpus(["样例"]), dense.encode(["样例"]), atol=1e-6)
    np.testing.assert_allclose(dense.encode_queries("样例"), dense.encode("样例"), atol=1e-6)


def test_pooling_is_cls_whatever_the_files_say(hub: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mean"
    folder.mkdir()
    for path in (hub / "BAAI" / "bge-large-zh-v1.5").iterdir():
        (folder / path.name).symlink_to(path)
    write_pooling(folder, "mean")
    made = {
        name: FlagModel(str(folder), pooling_method=name).encode("a text")
        for name in ("cls", "mean", None)
    }
    np.testing.assert_array_equal(made["mean"], made[None])
    assert np.abs(np.subtract(made["cls"], made["mean"])).max() > 0.1
    auto = FlagAutoModel.from_finetuned(str(folder))
    assert isinstance(auto, FlagModel)
    np.testing.assert_array_equal(auto.encode("a text"), made["mean"])


def test_another_pooling_is_another_model(hub: Path) -> None:
    folder = hub / "BAAI" / "bge-large-zh-v1.5"
    cls, mean = (TorchEncoder.from_pretrained(folder, pooling=one) for one in ("cls", "mean"))
    assert cls.model == TorchEncoder.from_pretrained(folder).model != mean.model
    with pytest.raises(ValueError, match='pooling is "cls" or "mean", not \'max\''):
        TorchEncoder.from_pretrained(folder, pooling="max")  # type: ignore[arg-type]  # what is tested


def test_vectors_may_be_shorter(hub: Path, dense: FlagModel) -> None:
    short = FlagModel(str(hub / "BAAI" / "bge-large-zh-v1.5"), truncate_dim=16).encode("a text")
    whole = dense.encode("a text")
    assert isinstance(whole, np.ndarray)
    np.testing.assert_allclose(short, whole[:16] / np.linalg.norm(whole[:16]), atol=1e-6)


def test_m3_without_heads_is_named(hub: Path) -> None:
    with pytest.raises(ValueError, match="has no heads for sparse and colbert; use FlagModel"):
        BGEM3FlagModel(str(hub / "BAAI" / "bge-large-zh-v1.5"))


@pytest.mark.reference
@pytest.mark.filterwarnings("ignore")  # transformers' own
class TestOthers:
    def test_sentence_transformers_gives_the_same(self, tmp_path: Path) -> None:
        library: Any = import_module("sentence_transformers")
        folder = write_bert(tmp_path / "bert", "".join(texts(512)), "cls")
        path = folder / "1_Pooling" / "config.json"
        said = {**json.loads(path.read_text()), "word_embedding_dimension": 64}
        path.write_text(json.dumps(said))
        model = library.SentenceTransformer(str(folder), device="cpu")
        expected = model.encode(texts(512), normalize_embeddings=True)
        found = FlagModel(str(folder), use_fp16=False, devices="cpu").encode(texts(512))
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)

    def test_plain_transformers_gives_the_same(self, hub: Path, dense: FlagModel) -> None:
        library: Any = import_module("transformers")
        folder = hub / "BAAI" / "bge-large-zh-v1.5"
        tokenizer = library.AutoTokenizer.from_pretrained(folder)
        model = library.AutoModel.from_pretrained(folder).eval()
        options = {"padding": True, "truncation": True, "max_length": 512, "return_tensors": "pt"}
        with torch.no_grad():
            first = model(**tokenizer(texts(512)[:60], **options))[0][:, 0]
        expected = torch.nn.functional.normalize(first, p=2, dim=1)
        found = dense.encode(texts(512)[:60])
        np.testing.assert_allclose(found, expected.numpy(), rtol=0, atol=1e-5)
