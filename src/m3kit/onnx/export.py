"""Writing the folder that `OnnxEncoder` opens."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from m3kit.backend.checkpoint import Checkpoint
from m3kit.onnx.graph import build
from m3kit.onnx.int8 import quantized
from m3kit.onnx.metadata import Facts, Precision
from m3kit.onnx.stored import Places, write_stored

_SMALL_FILES = (
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "config_sentence_transformers.json",
)


def copy_small_files(checkpoint: Checkpoint, folder: Path) -> None:
    """Copy the configuration, the tokenizer and the prompts."""
    for name in _SMALL_FILES:
        if (checkpoint.folder / name).is_file():
            shutil.copyfile(checkpoint.folder / name, folder / name)


def write_model(
    checkpoint: Checkpoint,
    tensors: Iterable[tuple[str, NDArray[Any]]],
    folder: Path,
    precision: Precision,
) -> None:
    """
    Write the graph of a checkpoint, and its weights in a second file.

    Args:
        checkpoint: The model.
        tensors: Its weights, as `m3kit.torch.export.tensors` gives them.
        folder: Where the files are written.
        precision: "fp32" for the weights as they are, "int8" for matrices in 8 bits.

    Raises:
        OSError: If the disk is full.
    """
    if precision == "int8":
        tensors = quantized(tensors)
    write_graph(checkpoint, write_stored(folder / f"{precision}.data", tensors), folder, precision)


def write_graph(checkpoint: Checkpoint, stored: Places, folder: Path, precision: Precision) -> None:
    """Write the graph alone, for weights that are in the folder already."""
    facts = Facts(
        model=f"{checkpoint.name}@{checkpoint.fingerprint()}",
        max_length=_max_length(checkpoint, stored),
        vocab_size=stored["embeddings.word_embeddings.weight"].shape[0],
    )
    graph = build(stored, checkpoint.config, checkpoint.pooling(), facts.to_metadata())
    (folder / f"{precision}.onnx").write_bytes(graph.SerializeToString(deterministic=True))


def _max_length(checkpoint: Checkpoint, stored: Places) -> int:
    """XLM-RoBERTa's positions up to the padding's are no text's."""
    unused = 0
    if checkpoint.model_type == "xlm-roberta":
        unused = checkpoint.config.get("pad_token_id", 1) + 1
    return stored["embeddings.position_embeddings.weight"].shape[0] - unused
