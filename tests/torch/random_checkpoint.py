"""
Checkpoints of random weights that are the same on every machine.

`numpy.random.RandomState` is frozen: a seed gives the same numbers in every NumPy.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

TINY = Path(str(files("m3kit").joinpath("checkpoints", "tiny")))
WIDTH = 1024
SEED = 3


def write_m3(folder: Path) -> Path:
    """Write a 2-layer XLM-RoBERTa of BGE-M3's width and positions, with both heads: 200 MB."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        **json.loads((TINY / "config.json").read_text()),
        "dtype": "float32",
        "hidden_size": WIDTH,
        "intermediate_size": 4 * WIDTH,
        "max_position_embeddings": 8194,
        "num_attention_heads": 16,
        "num_hidden_layers": 2,
    }
    (folder / "config.json").write_text(json.dumps(config))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(TINY / name, folder / name)
    random = np.random.RandomState(SEED)
    save_file(dict(_backbone(config, random)), folder / "model.safetensors", {"format": "pt"})
    _save_head(folder / "sparse_linear.pt", 1, WIDTH, random)
    _save_head(folder / "colbert_linear.pt", WIDTH, WIDTH, random)
    return folder


def write_long_tiny(folder: Path, positions: int) -> Path:
    """Write the tiny checkpoint with more positions, which are its own over and over."""
    shutil.copytree(TINY, folder)
    config = json.loads((folder / "config.json").read_text())
    config["max_position_embeddings"] = positions
    (folder / "config.json").write_text(json.dumps(config))
    name = "embeddings.position_embeddings.weight"
    tensors = load_file(folder / "model.safetensors")
    tensors[name] = np.resize(tensors[name], (positions, tensors[name].shape[1]))
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    return folder


def write_bert(folder: Path, letters: str, pooling: str | None = None) -> Path:
    """
    Write a 2-layer BERT that reads letter by letter, without heads.

    Args:
        folder: Where to.
        letters: What it knows beside its special tokens.
        pooling: What sentence-transformers' configuration says; None for no such files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary += [mark + letter for mark in ("", "##") for letter in sorted(set(letters))]
    config: dict[str, Any] = {
        "architectures": ["BertModel"],
        "hidden_act": "gelu",
        "hidden_size": 64,
        "intermediate_size": 128,
        "layer_norm_eps": 1e-12,
        "max_position_embeddings": 512,
        "model_type": "bert",
        "num_attention_heads": 4,
        "num_hidden_layers": 2,
        "pad_token_id": 0,
        "type_vocab_size": 2,
        "vocab_size": len(vocabulary),
    }
    (folder / "config.json").write_text(json.dumps(config))
    random = np.random.RandomState(64)
    save_file(dict(_backbone(config, random)), folder / "model.safetensors", {"format": "pt"})
    _bert_tokenizer(vocabulary).save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "BertTokenizer", "do_lower_case": True, "model_max_length": 512}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    if pooling:
        write_pooling(folder, pooling)
    return folder


def write_pooling(folder: Path, mode: str) -> None:
    """Write sentence-transformers' files for a pooling, in the older of its two spellings."""
    kinds = {"": "Transformer", "1_Pooling": "Pooling", "2_Normalize": "Normalize"}
    modules = [
        {"idx": n, "name": str(n), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for n, (path, kind) in enumerate(kinds.items())
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    flags = {"cls": "cls_token", "mean": "mean_tokens", "max": "max_tokens"}
    settings = {f"pooling_mode_{flag}": mode == name for name, flag in flags.items()}
    (folder / "1_Pooling").mkdir(exist_ok=True)
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(settings))


def _backbone(
    config: Mapping[str, Any], random: np.random.RandomState
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    width, inner = config["hidden_size"], config["intermediate_size"]
    for name, rows in (
        ("word", config["vocab_size"]),
        ("position", config["max_position_embeddings"]),
        ("token_type", config["type_vocab_size"]),
    ):
        yield f"embeddings.{name}_embeddings.weight", _uniform(random, 0.05, rows, width)
    yield from _norm("embeddings.LayerNorm", width, random)
    for number in range(config["num_hidden_layers"]):
        base = f"encoder.layer.{number}"
        for part in ("self.query", "self.key", "self.value", "output.dense"):
            yield from _linear(f"{base}.attention.{part}", width, width, random)
        yield from _norm(f"{base}.attention.output.LayerNorm", width, random)
        yield from _linear(f"{base}.intermediate.dense", inner, width, random)
        yield from _linear(f"{base}.output.dense", width, inner, random)
        yield from _norm(f"{base}.output.LayerNorm", width, random)
    yield from _linear("pooler.dense", width, width, random)


def _linear(
    name: str, outputs: int, inputs: int, random: np.random.RandomState
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    yield f"{name}.weight", _uniform(random, 2 * inputs**-0.5, outputs, inputs)
    yield f"{name}.bias", _uniform(random, 0.1, outputs)


def _norm(
    name: str, width: int, random: np.random.RandomState
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    yield f"{name}.weight", 1 + _uniform(random, 0.2, width)
    yield f"{name}.bias", _uniform(random, 0.1, width)


def _uniform(random: np.random.RandomState, limit: float, *shape: int) -> NDArray[np.float32]:
    return ((2 * random.random_sample(shape) - 1) * limit).astype(np.float32)


def _save_head(path: Path, outputs: int, inputs: int, random: np.random.RandomState) -> None:
    head = {key: torch.from_numpy(value) for key, value in _linear("", outputs, inputs, random)}
    torch.save({key.removeprefix("."): value for key, value in head.items()}, path)


def _bert_tokenizer(vocabulary: list[str]) -> Tokenizer:
    numbers = {token: number for number, token in enumerate(vocabulary)}
    tokenizer = Tokenizer(models.WordPiece(numbers, unk_token="[UNK]"))  # noqa: S106  # no secret
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.add_special_tokens(vocabulary[:5])
    return tokenizer
