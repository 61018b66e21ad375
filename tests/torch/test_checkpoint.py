from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.shipped import PIECES, WIDTH
from tests.torch.random_checkpoint import TINY, write_bert, write_pooling
from tests.torch.reference import vectors

from m3kit.encoder import same_model
from m3kit.torch import CheckpointError, TorchEncoder

_TEXTS = ["a table", "", "Wie füge ich eine Tabelle ein?"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the tiny checkpoint to spoil."""
    return Path(shutil.copytree(TINY, tmp_path / "mine"))


def _set(path: Path, **settings: Any) -> None:
    content = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(content | settings))


def _assert_same_outputs(one: TorchEncoder, other: TorchEncoder) -> None:
    for left, right in zip(
        one.encode_documents(_TEXTS), other.encode_documents(_TEXTS), strict=True
    ):
        (dense, sparse, colbert), (dense_, sparse_, colbert_) = vectors(left), vectors(right)
        np.testing.assert_array_equal(dense, dense_)
        np.testing.assert_array_equal(colbert, colbert_)
        assert sparse.to_dict() == sparse_.to_dict()


@pytest.mark.parametrize("zipped", [True, False])
def test_pytorch_model_bin_gives_the_same(
    folder: Path, tiny: TorchEncoder, *, zipped: bool
) -> None:
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(tensors, folder / "pytorch_model.bin", _use_new_zipfile_serialization=zipped)
    _assert_same_outputs(TorchEncoder.from_pretrained(folder), tiny)


def test_names_of_a_model_with_a_head_are_understood(folder: Path, tiny: TorchEncoder) -> None:
    tensors = load_file(folder / "model.safetensors")
    named = {f"roberta.{name}": tensor for name, tensor in tensors.items()}
    save_file({**named, "lm_head.bias": torch.zeros(3)}, folder / "model.safetensors")
    _assert_same_outputs(TorchEncoder.from_pretrained(folder), tiny)


def test_the_mark_follows_the_content_and_not_the_place(folder: Path, tiny: TorchEncoder) -> None:
    moved = TorchEncoder.from_pretrained(folder)
    assert tiny.model.startswith("tiny@")
    assert moved.model.startswith("mine@")
    assert same_model(moved.model, tiny.model)


@pytest.mark.parametrize("name", ["model.safetensors", "sparse_linear.pt"])
def test_other_weights_have_another_mark(folder: Path, tiny: TorchEncoder, name: str) -> None:
    if name.endswith(".pt"):
        head = torch.load(folder / name, weights_only=True)
        torch.save({key: tensor * 2 for key, tensor in head.items()}, folder / name)
    else:
        tensors = load_file(folder / name)
        save_file({key: tensor * 2 for key, tensor in tensors.items()}, folder / name)
    assert not same_model(TorchEncoder.from_pretrained(folder).model, tiny.model)


def test_without_heads_it_is_a_dense_encoder(folder: Path, tiny: TorchEncoder) -> None:
    (folder / "sparse_linear.pt").unlink()
    (folder / "colbert_linear.pt").unlink()
    encoder = TorchEncoder.from_pretrained(folder)
    assert encoder.reps == {"dense"}
    (output,) = encoder.encode_documents(["a table"], ["dense"])
    (whole,) = tiny.encode_documents(["a table"])
    np.testing.assert_array_equal(output.dense, whole.dense)


@pytest.mark.parametrize("name", ["sparse_linear.pt", "colbert_linear.pt"])
def test_one_missing_head_is_an_error(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(CheckpointError, match=f"lacks {name}"):
        TorchEncoder.from_pretrained(folder)


def test_a_narrow_colbert_head_is_taken_as_it_is(folder: Path) -> None:
    head = torch.load(folder / "colbert_linear.pt", weights_only=True)
    torch.save(
        {"weight": head["weight"][:32], "bias": head["bias"][:32]}, folder / "colbert_linear.pt"
    )
    (output,) = TorchEncoder.from_pretrained(folder).encode_documents(["a table"])
    dense, _, colbert = vectors(output)
    assert (dense.shape[0], colbert.shape[1]) == (WIDTH, 32)
    np.testing.assert_allclose(np.linalg.norm(colbert, axis=1), 1, atol=1e-6)


class _Malicious:
    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("touch broken-into",)


@pytest.mark.parametrize("name", ["sparse_linear.pt", "pytorch_model.bin"])
def test_code_in_a_pickle_is_refused_and_not_run(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(folder)
    (folder / "model.safetensors").rename(folder / "model.safetensors.away")
    if name != "pytorch_model.bin":
        (folder / "model.safetensors.away").rename(folder / "model.safetensors")
    torch.save({"weight": _Malicious()}, folder / name)
    refused = rf"{name} holds more than tensors and is refused \([^\n]*system[^\n]*\); save its "
    with pytest.raises(CheckpointError, match=refused) as caught:
        TorchEncoder.from_pretrained(folder)
    assert "PyTorch 2.6" not in str(caught.value)
    assert not (folder / "broken-into").exists()


def test_a_folder_that_is_no_checkpoint_says_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(CheckpointError, match=r"config\.json is missing; it holds notes\.txt"):
        TorchEncoder.from_pretrained(tmp_path)


def test_no_weights_are_an_error(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"neither model\.safetensors nor pytorch_model\.bin"):
        TorchEncoder.from_pretrained(folder)


_FILES = ["model.safetensors", "colbert_linear.pt", "sparse_linear.pt"]
_SAVED = ["pytorch_model.bin", "an older pytorch_model.bin"]


def _file(folder: Path, name: str) -> Path:
    """Return a file of weights to spoil, having put it in the place of model.safetensors."""
    path = folder / name.removeprefix("an older ")
    if name in _SAVED:
        tensors = load_file(folder / "model.safetensors")
        (folder / "model.safetensors").unlink()
        torch.save(tensors, path, _use_new_zipfile_serialization=name == path.name)
    return path


def _assert_broken(path: Path) -> None:
    with pytest.raises(CheckpointError) as caught:
        TorchEncoder.from_pretrained(path.parent)
    said = str(caught.value)
    assert said.startswith(f"{path} is broken (")
    assert said.endswith("); download it again")
    assert "\n" not in said
    assert "PyTorch 2.6" not in said


@pytest.mark.parametrize("kept", [0.001, 0.3, 0.5, 0.7, 0.9, 0.95, 0.99, 0.999])
@pytest.mark.parametrize("name", [*_FILES, *_SAVED])
def test_a_file_of_weights_that_was_cut_short_is_named(
    folder: Path, name: str, kept: float
) -> None:
    path = _file(folder, name)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
    _assert_broken(path)


@pytest.mark.parametrize("content", [b"", b"\0" * 100, b"Entry not found", b'{"error": 1}'])
@pytest.mark.parametrize("name", [*_FILES, "pytorch_model.bin"])
def test_a_file_of_weights_that_holds_something_else_is_named(
    folder: Path, name: str, content: bytes
) -> None:
    path = _file(folder, name)
    path.write_bytes(content)
    _assert_broken(path)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "a Git LFS pointer"),
        ("<!DOCTYPE html>\n<html></html>", "a web page"),
        ("\n<html></html>", "a web page"),
        ("<?xml version='1.0'?><Error/>", "a server's error"),
    ],
)
@pytest.mark.parametrize("name", [*_FILES, "pytorch_model.bin"])
def test_what_lies_in_the_place_of_weights_is_said(
    folder: Path, name: str, content: str, what: str
) -> None:
    path = _file(folder, name)
    path.write_text(content)
    with pytest.raises(
        CheckpointError, match=f"{name} is {what} in place of the weights; download it again"
    ):
        TorchEncoder.from_pretrained(folder)


@pytest.mark.parametrize("broken", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("key", ["weight", "bias"])
@pytest.mark.parametrize("name", ["sparse_linear.pt", "colbert_linear.pt"])
def test_a_head_with_what_is_no_number_is_refused(
    folder: Path, name: str, key: str, broken: float
) -> None:
    head = torch.load(folder / name, weights_only=True)
    head[key].view(-1)[0] = broken
    torch.save(head, folder / name)
    with pytest.raises(CheckpointError, match=rf"{key} in .*{name} has NaN .*; download it again"):
        TorchEncoder.from_pretrained(folder)


def test_a_vector_of_the_backbone_with_nan_is_refused(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors["encoder.layer.1.output.LayerNorm.weight"][-1] = float("nan")
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"layer\.1\.output\.LayerNorm\.weight in .* has NaN"):
        TorchEncoder.from_pretrained(folder)


@pytest.mark.parametrize("prefix", ["", "roberta."])
def test_layers_beyond_those_of_the_config_are_refused(folder: Path, prefix: str) -> None:
    tensors = load_file(folder / "model.safetensors")
    named = {prefix + name: tensor for name, tensor in tensors.items()}
    save_file(named, folder / "model.safetensors")
    _set(folder / "config.json", num_hidden_layers=1)
    with pytest.raises(
        CheckpointError, match=r"num_hidden_layers of 1, .* go on with encoder\.layer\.1\.attention"
    ):
        TorchEncoder.from_pretrained(folder)


def test_a_missing_tensor_is_named(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    del tensors["encoder.layer.1.output.dense.bias"]
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"'encoder\.layer\.1\.output\.dense\.bias'"):
        TorchEncoder.from_pretrained(folder)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model_type": "qwen2"}, "'qwen2'; this encoder computes xlm-roberta and bert"),
        ({"hidden_act": "relu"}, "hidden_act 'relu'"),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type 'relative_key'"),
        ({"intermediate_size": 100}, f"has the shape .*; by config.json it is 100 x {WIDTH}"),
        ({"layer_norm_eps": "a"}, "layer_norm_eps of 'a'; it is a small number above 0"),
        ({"layer_norm_eps": None}, "layer_norm_eps of None"),
        ({"layer_norm_eps": True}, "layer_norm_eps of True"),
        ({"layer_norm_eps": float("nan")}, "layer_norm_eps of nan"),
        ({"layer_norm_eps": float("inf")}, "layer_norm_eps of inf"),
        ({"layer_norm_eps": 0}, "layer_norm_eps of 0"),
        ({"num_attention_heads": 5}, f"of 5, which does not divide the hidden_size of {WIDTH}"),
        (
            {"num_attention_heads": 0},
            "num_attention_heads of 0; it is a whole number of at least 1",
        ),
        ({"num_attention_heads": 4.0}, r"num_attention_heads of 4\.0"),
        ({"num_hidden_layers": "2"}, "num_hidden_layers of '2'"),
        ({"num_hidden_layers": True}, "num_hidden_layers of True"),
        ({"hidden_size": -1}, "hidden_size of -1"),
        ({"intermediate_size": [384]}, r"intermediate_size of \[384\]"),
        ({"pad_token_id": None}, "pad_token_id of None; it is a whole number of at least 0"),
        ({"pad_token_id": -1}, "pad_token_id of -1"),
    ],
)
def test_another_architecture_is_refused(
    folder: Path, settings: dict[str, Any], message: str
) -> None:
    _set(folder / "config.json", **settings)
    with pytest.raises(CheckpointError, match=message):
        TorchEncoder.from_pretrained(folder)


def test_a_broken_config_is_named(folder: Path) -> None:
    (folder / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"cannot read .*config\.json"):
        TorchEncoder.from_pretrained(folder)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("config.json", "[]", "config.json holds a list where an object belongs"),
        ("config.json", "null", "config.json holds None where an object belongs"),
        ("tokenizer_config.json", "[]", "holds a list where an object belongs"),
        ("special_tokens_map.json", "[]", "holds a list where an object belongs"),
        ("config_sentence_transformers.json", "[]", "holds a list where an object belongs"),
        ("config_sentence_transformers.json", '{"prompts": ["a"]}', "'prompts' in .* holds a list"),
        ("modules.json", "{}", "modules.json holds an object where a list belongs"),
        ("modules.json", "[1]", "a module in .*modules.json holds 1 where an object belongs"),
        ("modules.json", '[{"path": ""}]', "a module in .*modules.json has no 'type'"),
        ("modules.json", '[{"type": ""}]', "a module in .*modules.json has no 'path'"),
        ("1_Pooling/config.json", '"cls"', "config.json holds 'cls' where an object belongs"),
        (
            "1_Pooling/config.json",
            '{"pooling_mode": 1}',
            "'pooling_mode' in .* holds 1 where a list",
        ),
    ],
)
def test_a_file_of_the_wrong_shape_is_named(
    folder: Path, name: str, content: str, message: str
) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(content)
    with pytest.raises(CheckpointError, match=rf"{message}.*; download it again$"):
        TorchEncoder.from_pretrained(folder)


def test_json_without_a_bottom_is_an_error(folder: Path) -> None:
    (folder / "config.json").write_text("[" * 100_000)
    with pytest.raises(CheckpointError, match=r"cannot read .*config\.json"):
        TorchEncoder.from_pretrained(folder)


@pytest.mark.parametrize("name", ["num_attention_heads", "layer_norm_eps"])
def test_a_missing_setting_is_named(folder: Path, name: str) -> None:
    config = json.loads((folder / "config.json").read_text())
    del config[name]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=rf"config\.json has no {name}"):
        TorchEncoder.from_pretrained(folder)


def test_a_tokenizer_with_more_ids_than_embeddings_is_refused(folder: Path) -> None:
    content = json.loads((folder / "tokenizer.json").read_text())
    content["model"]["vocab"].append(["one more", -9.0])
    (folder / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match=f"{PIECES + 1} ids, and the weights know {PIECES}"):
        TorchEncoder.from_pretrained(folder)


@pytest.mark.parametrize("spelling", ["flags", "name"])
def test_pooling_is_what_sentence_transformers_wrote(tmp_path: Path, spelling: str) -> None:
    cls = TorchEncoder.from_pretrained(write_bert(tmp_path / "cls", "table"))
    mean = write_bert(tmp_path / "mean", "table", "mean")
    if spelling == "name":
        (mean / "1_Pooling" / "config.json").write_text('{"pooling_mode": "mean"}')
    (one,) = cls.encode_documents(["table"], ["dense"])
    (other,) = TorchEncoder.from_pretrained(mean).encode_documents(["table"], ["dense"])
    assert one.dense is not None
    assert other.dense is not None
    assert np.abs(one.dense - other.dense).max() > 0.01
    assert cls.model.split("@")[1] != TorchEncoder.from_pretrained(mean).model.split("@")[1]


def test_another_pooling_is_refused(folder: Path) -> None:
    write_pooling(folder, "max")
    with pytest.raises(CheckpointError, match="pools by pooling_mode_max_tokens"):
        TorchEncoder.from_pretrained(folder)


def test_a_module_behind_the_pooling_is_refused(folder: Path) -> None:
    write_pooling(folder, "cls")
    modules = json.loads((folder / "modules.json").read_text())
    modules.append({"path": "3_Dense", "type": "sentence_transformers.models.Dense"})
    (folder / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(CheckpointError, match="module 'Dense'"):
        TorchEncoder.from_pretrained(folder)


_ENGLISH = "Represent this sentence for searching relevant passages: "
_CHINESE = "为这个句子生成表示以用于检索相关文章："  # noqa: RUF001  # as the model's card has it


@pytest.mark.parametrize(
    ("name", "said", "instruction"),
    [
        ("bge-base-en-v1.5", None, _ENGLISH),
        ("bge-large-en", None, _ENGLISH),
        ("bge-small-zh-v1.5", None, _CHINESE),
        ("mine", "/root/.cache/torch/sentence_transformers/BAAI_bge-small-en/", _ENGLISH),
        ("mine", None, ""),
        ("bge-m3", None, ""),
        ("my-bge-base-en-v1.5", None, ""),
    ],
)
def test_a_query_gets_the_instruction_of_its_family(
    tmp_path: Path, name: str, said: str | None, instruction: str
) -> None:
    folder = write_bert(tmp_path / name, "abcdefghijklmnopqrstuvwxyz")
    _set(folder / "config.json", _name_or_path=said)
    _assert_query_is(folder, instruction + "table")


def test_a_checkpoints_own_prompts_go_first(tmp_path: Path) -> None:
    folder = write_bert(tmp_path / "bge-base-en-v1.5", "abcdefghijklmnopqrstuvwxyz")
    prompts = {"query": "query: ", "passage": "passage: "}
    _set(folder / "config_sentence_transformers.json", prompts=prompts)
    _assert_query_is(folder, "query: table")
    encoder = TorchEncoder.from_pretrained(folder)
    (prefixed,) = encoder.encode_documents(["table"], ["dense"])
    (plain,) = encoder.encode(["passage: table"], ["dense"])
    np.testing.assert_array_equal(prefixed.dense, plain.dense)


def test_what_the_caller_says_goes_before_all(tmp_path: Path) -> None:
    folder = write_bert(tmp_path / "bge-base-en", "abcdefghijklmnopqrstuvwxyz")
    _assert_query_is(folder, "table", query_instruction="")
    _assert_query_is(folder, "find table", query_instruction="find ")


def _assert_query_is(folder: Path, text: str, **options: Any) -> None:
    encoder = TorchEncoder.from_pretrained(folder, **options)
    (query,) = encoder.encode_queries(["table"], ["dense"])
    (plain,) = encoder.encode([text], ["dense"])
    np.testing.assert_array_equal(query.dense, plain.dense)


@pytest.mark.parametrize("kind", ["safetensors", "bin"])
def test_weights_in_several_files_are_read(folder: Path, kind: str) -> None:
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    stem = "model" if kind == "safetensors" else "pytorch_model"
    save = save_file if kind == "safetensors" else torch.save
    places: dict[str, str] = {}
    for number in (1, 2):
        file = f"{stem}-0000{number}-of-00002.{kind}"
        part = {name: tensors[name] for name in sorted(tensors)[number - 1 :: 2]}
        save(part, folder / file)
        places |= dict.fromkeys(part, file)
    index = folder / f"{stem}.{kind}.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": places}))
    _assert_same_outputs(TorchEncoder.from_pretrained(folder), TorchEncoder.from_pretrained("tiny"))
    (folder / file).unlink()
    with pytest.raises(CheckpointError, match=f"names {file}, which is not there"):
        TorchEncoder.from_pretrained(folder)


@pytest.mark.parametrize("prefixed", [False, True])
def test_heads_in_safetensors_are_read(folder: Path, prefixed: bool) -> None:  # noqa: FBT001
    for name in ("sparse_linear", "colbert_linear"):
        head = torch.load(folder / f"{name}.pt", weights_only=True)
        (folder / f"{name}.pt").unlink()
        prefix = f"{name}." if prefixed else ""
        named = {f"{prefix}{key}": tensor.contiguous() for key, tensor in head.items()}
        save_file(named, folder / f"{name}.safetensors")
    _assert_same_outputs(TorchEncoder.from_pretrained(folder), TorchEncoder.from_pretrained("tiny"))
