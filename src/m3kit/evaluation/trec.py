"""
Runs and qrels in TREC's form, which every tool for evaluation reads.

    run      query Q0 document rank score tag
    qrels    query 0 document grade, or BEIR's query<TAB>document<TAB>grade under a header

Scores are written strictly falling, since trec_eval orders by them and breaks ties by its own rule.
An id that holds white space is percent-encoded, and decoded when it is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from m3kit.evaluation.dataset import DatasetError, Qrels, Run
from m3kit.qrels import decode_id, encode_id, qrels_line


def falling(scores: Iterable[float]) -> list[float]:
    """Lower scores by the least that float32 can say, so that each is below the one before."""
    values = np.fromiter(scores, dtype=np.float32)
    for place in np.flatnonzero(values[1:] >= values[:-1]).tolist():
        following = values[place + 1 :]
        ceiling = values[place]
        for offset, value in enumerate(following.tolist()):
            if value < ceiling:
                break
            ceiling = following[offset] = np.nextafter(ceiling, np.float32(-np.inf))
    return values.tolist()  # type: ignore[no-any-return]  # NumPy says Any


def run_lines(query: str, ranking: Sequence[tuple[str, float]], tag: str) -> Iterator[str]:
    """Yield the lines of one query of a run."""
    scores = falling(score for _, score in ranking)
    first, last = f"{encode_id(query)} Q0", encode_id(tag)
    for rank, ((document, _), score) in enumerate(zip(ranking, scores, strict=True), start=1):
        yield f"{first} {encode_id(document)} {rank} {score:.9g} {last}\n"


def write_run(path: Path, run: Run, tag: str = "m3kit") -> None:
    """Write a run; every ranking best first."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for query, ranking in run.items():
            file.writelines(run_lines(query, ranking, tag))


def read_run(path: Path) -> dict[str, list[tuple[str, float]]]:
    """
    Read a run, ordered by score and, where those tie, by rank.

    Raises:
        DatasetError: If a line is not one of a run.
    """
    entries: dict[str, list[tuple[float, int, str]]] = {}
    for number, line in _lines(path):
        try:
            query, _, document, rank, score, _ = _fields(line)
            entry = (-float(score), int(rank), document)
        except ValueError:
            raise DatasetError(
                f"{path}:{number}: not a line of a run (query Q0 document rank score tag): {line!r}"
            ) from None
        entries.setdefault(query, []).append(entry)
    return {
        query: [(document, -negative) for negative, _, document in sorted(ranking)]
        for query, ranking in entries.items()
    }


def write_qrels(path: Path, qrels: Qrels) -> None:
    """Write qrels."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for query, grades in qrels.items():
            for document, grade in grades.items():
                file.write(qrels_line(query, document, grade))


def read_qrels(path: Path) -> dict[str, dict[str, int]]:
    """
    Read qrels, of TREC or of BEIR, whose form has a header and three columns.

    Raises:
        DatasetError: If a line is not one of qrels.
    """
    qrels: dict[str, dict[str, int]] = {}
    for number, line in _lines(path):
        fields = line.split("\t") if "\t" in line else _fields(line)
        if number == 1 and not fields[-1].lstrip("-").isdigit():
            continue
        try:
            query, document, grade = fields[0], fields[-2], int(fields[-1])
        except (IndexError, ValueError):
            raise DatasetError(
                f"{path}:{number}: not a line of qrels (query 0 document grade): {line!r}"
            ) from None
        qrels.setdefault(query, {})[document] = grade
    return qrels


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    with path.open(encoding="utf-8-sig", newline="\n") as file:
        for number, line in enumerate(file, start=1):
            if stripped := line.strip("\r\n"):
                yield number, stripped


def _fields(line: str) -> list[str]:
    return [decode_id(field) for field in re.split(r"[ \t]+", line.strip(" \t"))]
