"""
Checkpoints of BGE-M3's size with random weights, and texts of mixed lengths, for the benchmarks.

Random weights compute as fast as trained ones, and need no download. A checkpoint is written
once, into a folder under the system's temporary one: 24 layers and the whole vocabulary take
2.3 GB, six layers and the small tokenizer's own vocabulary, for small machines, 0.4 GB.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from tempfile import gettempdir, mkdtemp

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import save_file

WIDTH = 1024
INNER = 4 * WIDTH
LAYERS = 24
POSITIONS = 8194
VOCABULARY = 250_002

_TINY = Path(str(files("m3kit").joinpath("checkpoints", "tiny")))
_CORPUS = Path(__file__).resolve().parents[1] / "examples" / "data" / "corpus.jsonl"


def checkpoint(layers: int = LAYERS) -> Path:
    """Return the folder of a checkpoint with so many layers, written before the first use."""
    home = Path(gettempdir()) / "m3kit-benchmarks"
    folder = home / f"m3-{layers}"
    if not folder.is_dir():
        home.mkdir(exist_ok=True)
        unfinished = Path(mkdtemp(dir=home))
        _write(unfinished, layers)
        unfinished.rename(folder)
    return folder


def mixed_texts(count: int, *, longest: int = 350, median: int = 45) -> list[str]:
    """Make texts with the lengths of a usual corpus: log-normal, most of them short; in words."""
    random = np.random.RandomState(7)
    rows = _CORPUS.read_text(encoding="utf-8").splitlines()
    words = " ".join(json.loads(row)["text"] for row in rows if '"en"' in row).split()
    sizes = np.clip(np.exp(random.normal(np.log(median), 0.9, count)), 3, longest).astype(int)
    starts = random.randint(0, len(words) - longest, count)
    return [" ".join(words[a : a + n]) for a, n in zip(starts, sizes, strict=True)]


def flops_per_token(layers: int, lengths: NDArray[np.int64]) -> float:
    """Count the products of the forward pass with all heads, a multiplication and a sum as two."""
    products = layers * (4 * WIDTH * WIDTH + 2 * WIDTH * INNER) + WIDTH * (WIDTH + 1)
    seen = float((lengths**2).sum() / lengths.sum())  # tokens that a token looks at
    return 2 * (products + layers * 2 * WIDTH * seen)


def _write(folder: Path, layers: int) -> None:
    small = json.loads((_TINY / "config.json").read_text(encoding="utf-8"))
    config = {
        **small,
        "dtype": "float32",
        "hidden_size": WIDTH,
        "intermediate_size": INNER,
        "max_position_embeddings": POSITIONS,
        "num_attention_heads": 16,
        "num_hidden_layers": layers,
        "vocab_size": VOCABULARY if layers == LAYERS else small["vocab_size"],
    }
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(_TINY / name, folder / name)
    random = np.random.default_rng(3)
    save_file(
        dict(_tensors(config["vocab_size"], layers, random)),
        folder / "model.safetensors",
        {"format": "pt"},
    )
    for name, outputs in (("sparse_linear.pt", 1), ("colbert_linear.pt", WIDTH)):
        head = {key[1:]: value for key, value in _linear("", outputs, WIDTH, random)}
        if outputs == 1:
            head["bias"] += 3  # tokens of random weights are alike; this makes theirs positive
        torch.save({key: torch.from_numpy(value) for key, value in head.items()}, folder / name)


_Tensors = Iterator[tuple[str, NDArray[np.float32]]]


def _tensors(vocabulary: int, layers: int, random: np.random.Generator) -> _Tensors:
    rows = {"word": vocabulary, "position": POSITIONS, "token_type": 1}
    for name, count in rows.items():
        yield f"embeddings.{name}_embeddings.weight", _uniform(random, 0.05, count, WIDTH)
    yield from _norm("embeddings.LayerNorm", random)
    for number in range(layers):
        base = f"encoder.layer.{number}"
        for part in ("self.query", "self.key", "self.value", "output.dense"):
            yield from _linear(f"{base}.attention.{part}", WIDTH, WIDTH, random)
        yield from _norm(f"{base}.attention.output.LayerNorm", random)
        yield from _linear(f"{base}.intermediate.dense", INNER, WIDTH, random)
        yield from _linear(f"{base}.output.dense", WIDTH, INNER, random)
        yield from _norm(f"{base}.output.LayerNorm", random)
    yield from _linear("pooler.dense", WIDTH, WIDTH, random)


def _linear(name: str, outputs: int, inputs: int, random: np.random.Generator) -> _Tensors:
    yield f"{name}.weight", _uniform(random, 2 * inputs**-0.5, outputs, inputs)
    yield f"{name}.bias", _uniform(random, 0.1, outputs)


def _norm(name: str, random: np.random.Generator) -> _Tensors:
    yield f"{name}.weight", 1 + _uniform(random, 0.2, WIDTH)
    yield f"{name}.bias", _uniform(random, 0.1, WIDTH)


def _uniform(random: np.random.Generator, limit: float, *shape: int) -> NDArray[np.float32]:
    return (2 * random.random(shape, dtype=np.float32) - 1) * np.float32(limit)
