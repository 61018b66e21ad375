r"""
Training data: JSONL files of queries with positive and negative passages.

    {"query": "…", "pos": ["…"], "neg": ["…"], "pos_scores": [9.1], "neg_scores": [2.0],
     "prompt": "…", "type": "…"}

Only `query` and `pos` are required; unknown fields are ignored. A positive among the negatives is
dropped from these. A query without a positive, and anything of another type, is an error.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from m3kit.training.errors import TrainingDataError

_SUFFIXES = (".jsonl", ".json")
_WITHOUT_IN_BATCH = "no_in_batch_neg"
_log = logging.getLogger("m3kit")


@dataclass(frozen=True, slots=True)
class Example:
    """
    A query with its passages.

    Args:
        query: The query.
        pos: Its positive passages, at least one.
        neg: Its negative passages, none of them a positive.
        pos_scores: A teacher's score for each positive; empty without a teacher.
        neg_scores: The same for each negative.
        prompt: The query's instruction; None for the one of the model.
        type: FlagEmbedding's kind of task: `"only_1neg"` takes one negative, `"symmetric_sts"` and
            `"symmetric_clustering"` put the instruction before passages, too.
        duplicates: How many negatives were dropped because they equal a positive.
    """

    query: str
    pos: Sequence[str]
    neg: Sequence[str] = ()
    pos_scores: Sequence[float] = ()
    neg_scores: Sequence[float] = ()
    prompt: str | None = None
    type: str | None = None
    duplicates: int = 0


class TrainingData:
    """
    The examples of some files, checked once and read again from disk when they are needed.

    Only where a line begins is held in memory, so that millions of examples are.

    Args:
        paths: JSONL files, and folders of them; each file is a task of its own.
        in_batch_negatives: Whether the passages of other queries are negatives. A query without
            negatives of its own needs them. A file or folder whose name ends in `no_in_batch_neg`
            has none.
        teacher: Whether scores are required.
        size: Tokens of an example, for batches of even size.

    Raises:
        TrainingDataError: If a line is no example, or there is none; it names file and line.
    """

    def __init__(
        self,
        paths: Sequence[str | Path],
        *,
        size: Callable[[Example], int],
        in_batch_negatives: bool = True,
        teacher: bool = False,
    ) -> None:
        self.files = list(_files(paths))
        self.in_batch: list[bool] = []
        tasks: dict[tuple[int, str | None], int] = {}
        rows: list[tuple[int, int, int, int, bool]] = []
        duplicates = 0
        for number, file in enumerate(self.files):
            names = file.stem, file.parent.name
            in_batch = in_batch_negatives and not any(n.endswith(_WITHOUT_IN_BATCH) for n in names)
            self.in_batch.append(in_batch)
            for place, offset, line in _lines(file):
                example = _checked(line, f"{file}:{place}", in_batch=in_batch, teacher=teacher)
                task = tasks.setdefault((number, example.type), len(tasks))
                rows.append((number, offset, task, size(example), bool(example.neg)))
                duplicates += example.duplicates
        if not rows:
            raise TrainingDataError(
                f"no example in {', '.join(map(str, self.files))}; a line is "
                '{"query": "…", "pos": ["…"], "neg": ["…"]}'
            )
        table = np.array(rows, dtype=np.int64)
        self._file, self._offset, self.tasks, self.sizes, self.has_negatives = table.T
        if duplicates:
            _log.warning("%d negatives equal a positive of their query and are dropped", duplicates)

    def __len__(self) -> int:
        return len(self._file)

    def __getitem__(self, number: int) -> Example:
        file = self.files[int(self._file[number])]
        with file.open("rb") as lines:
            lines.seek(int(self._offset[number]))
            line = lines.readline()
        return _checked(line, str(file), in_batch=True, teacher=False)

    def allows_in_batch(self, number: int) -> bool:
        """Tell whether the other passages of its batch are negatives of an example."""
        return self.in_batch[int(self._file[number])]


def read_examples(path: str | Path) -> Iterator[Example]:
    """
    Read the examples of a file or a folder, one after the other.

    Raises:
        TrainingDataError: If a line is no example; it names file and line.
    """
    for file in _files([path]):
        for place, _, line in _lines(file):
            yield _checked(line, f"{file}:{place}", in_batch=True, teacher=False)


def estimate(count: Callable[[Sequence[str]], list[int]], limit: int) -> Callable[[str], int]:
    """
    Return a function that estimates the tokens of a text by its characters.

    The first texts are counted, and with them the tokens of a character.

    Args:
        count: Counts the tokens of texts, special ones included.
        limit: Where texts are truncated.
    """
    counted = np.zeros(2)  # characters, tokens

    def tokens(text: str) -> int:
        if counted[0] < _COUNTED:
            counted[:] += len(text) + 1, count([text])[0]
        return min(limit, 2 + round(len(text) * float(counted[1] / counted[0])))

    return tokens


_COUNTED = 20_000  # characters from which an estimate is made


def _files(paths: Sequence[str | Path]) -> Iterator[Path]:
    if isinstance(paths, str | Path):
        raise TypeError(f"give a list of files and folders, not one: [{str(paths)!r}]")
    for path in map(Path, paths):
        if path.is_dir():
            files = sorted(file for file in path.iterdir() if file.suffix in _SUFFIXES)
            if not files:
                raise TrainingDataError(f"no {' or '.join(_SUFFIXES)} file in {path}")
            yield from files
        elif path.is_file():
            yield path
        else:
            raise TrainingDataError(f"{path} does not exist; give a JSONL file or a folder of them")


def _lines(file: Path) -> Iterator[tuple[int, int, bytes]]:
    """Yield number, offset and content of each line that is not blank."""
    offset = 0
    with file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield number, offset, line
            offset += len(line)


def _checked(line: bytes, where: str, *, in_batch: bool, teacher: bool) -> Example:
    try:
        content = json.loads(line)
    except ValueError as error:
        raise TrainingDataError(f"{where} is no JSON: {error}") from error
    if not isinstance(content, dict):
        raise TrainingDataError(f"{where} is no object; a line is {{'query': …, 'pos': […]}}")
    query, pos, neg = content.get("query"), _texts(content, "pos", where), []
    if not isinstance(query, str) or not query.strip():
        raise TrainingDataError(f"{where} has no query; give its text as a string in 'query'")
    if not pos:
        raise TrainingDataError(f"{where} has no positive passage in 'pos'; add one, or drop it")
    candidates = _texts(content, "neg", where)
    pos_scores = _scores(content, "pos", len(pos), where, required=teacher)
    scores = _scores(content, "neg", len(candidates), where, required=teacher)
    neg_scores = []
    for place, text in enumerate(candidates):
        if text not in pos:
            neg.append(text)
            neg_scores += scores[place : place + 1]
    if not neg and not in_batch:
        raise TrainingDataError(
            f"{where} has no negative passage in 'neg', and there are no in-batch negatives; add "
            "negatives (m3kit mine), or allow in-batch ones"
        )
    return Example(
        query,
        pos,
        neg,
        pos_scores,
        neg_scores,
        _optional(content, "prompt", where),
        _optional(content, "type", where),
        len(candidates) - len(neg),
    )


def _texts(content: dict[str, Any], name: str, where: str) -> list[str]:
    texts = content.get(name)
    if texts is None:
        return []
    if not isinstance(texts, list) or not all(isinstance(t, str) and t.strip() for t in texts):
        raise TrainingDataError(f"{where} has a {name!r} that is no list of texts: {texts!r:.60}")
    return texts


def _scores(
    content: dict[str, Any], name: str, count: int, where: str, *, required: bool
) -> list[float]:
    scores = content.get(f"{name}_scores")
    if scores is None and not (required and count):
        return []
    if scores is None:
        raise TrainingDataError(
            f"{where} has no '{name}_scores', which the teacher's loss needs; add them (m3kit "
            "score), or train without a teacher"
        )
    good = isinstance(scores, list) and len(scores) == count and all(map(_is_number, scores))
    if not good:
        raise TrainingDataError(
            f"{where} has '{name}_scores' that are not {count} numbers, one for each of {name!r}: "
            f"{scores!r:.60}"
        )
    return [float(score) for score in scores]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def _optional(content: dict[str, Any], name: str, where: str) -> str | None:
    value = content.get(name)
    if value is not None and not isinstance(value, str):
        raise TrainingDataError(f"{where} has a {name!r} that is no string: {value!r:.60}")
    return value
