"""Scores of a teacher beside the passages of training examples, and examples as lines of JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

from m3kit._files import replacing
from m3kit.retriever import Reranker, reranked_scores
from m3kit.training.data import Example


def score(examples: Iterable[Example], teacher: Reranker) -> Iterator[Example]:
    """
    Add a reranker's scores to the passages of examples, in place of those that they have.

    Args:
        examples: Read one after the other.
        teacher: As `m3kit.torch.CrossEncoder`.

    Raises:
        ValueError: If the reranker gives no number for a passage.
    """
    for example in examples:
        scores = reranked_scores(teacher, example.query, [*example.pos, *example.neg])
        count = len(example.pos)
        yield replace(example, pos_scores=scores[:count], neg_scores=scores[count:])


def to_line(example: Example) -> str:
    """Return an example as a line of JSON, as training reads it."""
    line: dict[str, Any] = {
        "query": example.query,
        "pos": list(example.pos),
        "neg": list(example.neg),
    }
    for name in ("pos_scores", "neg_scores"):
        if scores := list(getattr(example, name)):
            line[name] = scores
    for name in ("prompt", "type"):
        if (value := getattr(example, name)) is not None:
            line[name] = value
    return json.dumps(line, ensure_ascii=False)


def write_examples(path: str | PathLike[str], examples: Iterable[Example]) -> int:
    """Write examples as JSONL; the file appears when all are written. Returns their number."""
    count = 0
    with replacing(Path(path)) as file:
        for example in examples:
            file.write(f"{to_line(example)}\n")
            count += 1
    return count
