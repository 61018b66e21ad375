from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.torch.random_checkpoint import TINY

from m3kit.backend.checkpoint import read_checkpoint
from m3kit.backend.tokenizer import load_tokenizer
from m3kit.training.model import M3Model
from m3kit.vectors import Ints

pytest.importorskip("accelerate")

WORDS = [
    "table",
    "row",
    "column",
    "print",
    "page",
    "cell",
    "font",
    "style",
    "image",
    "chart",
    "header",
    "footer",
    "link",
    "note",
]


@pytest.fixture
def tiny_model() -> M3Model:
    return load_tiny()


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write rows as a JSONL file."""

    def write(rows: list[Any], name: str = "train.jsonl") -> Path:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
        return path

    return write


def load_tiny(folder: Path = TINY, **options: Any) -> M3Model:
    checkpoint = read_checkpoint("tiny", folder)
    tokenizer = load_tokenizer(folder, checkpoint.config)
    return M3Model(checkpoint, unweighted=tokenizer.unweighted, **options)


def with_positions(model: Any) -> Any:
    """
    Give a model's positions embeddings, which the shipped one has not.

    Without, a token that a text has twice has the same vectors twice, and either may be the
    nearest: the gradient is that of one position or of the other.
    """
    table = next(p for n, p in model.named_parameters() if n.endswith("position_embeddings.weight"))
    with torch.no_grad():
        table.normal_(std=0.02, generator=torch.Generator().manual_seed(0))
    return model


def token_ids(*texts: str) -> list[Ints]:
    checkpoint = read_checkpoint("tiny", TINY)
    return [tokens.ids for tokens in load_tokenizer(TINY, checkpoint.config)(texts, 512)]


def rows(count: int, negatives: int = 3) -> list[dict[str, Any]]:
    """Examples of words that the tiny model knows, the same on every machine."""
    random = np.random.RandomState(5)
    examples = []
    for number in range(count):
        first, *others = random.choice(WORDS, negatives + 2, replace=False).tolist()
        filler = " ".join(random.choice(WORDS, random.randint(1, 30)).tolist())
        examples.append(
            {
                "query": f"how to insert a {first} in the {others[0]}",
                "pos": [f"{filler}. Choose Insert - {others[0]} {number}."],
                "neg": [f"Choose Insert - {first} in the {other}." for other in others[1:]],
                "pos_scores": [float(random.random_sample() * 4)],
                "neg_scores": (random.random_sample(negatives) * 3).tolist(),
            }
        )
    return examples
