"""
Judgements of documents, in a folder that `m3kit evaluate` reads beside the index.

    queries.jsonl    {"_id": "1", "text": "How do I add a row?"}, a line for each query
    qrels.trec       query 0 document grade, TREC's form; 1 answers the query, 0 does not

An id that holds white space is percent-encoded in qrels, and decoded when it is read.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from urllib.parse import unquote

from m3kit._files import replace_text
from m3kit.records import check_text

QUERIES = "queries.jsonl"
QRELS = "qrels.trec"

_ENCODED = re.compile(r"%(?:0[9A-D]|20|25)")
_UNSAFE = re.compile(rf"\s|{_ENCODED.pattern}", re.ASCII)


def encode_id(id_: str) -> str:
    """Return an id as a field of TREC's files, which white space separates."""
    if _UNSAFE.search(id_):
        return re.sub(r"[\s%]", lambda match: f"%{ord(match[0]):02X}", id_, flags=re.ASCII)
    return id_


def decode_id(field: str) -> str:
    """Return the id that a field names."""
    return unquote(field) if _ENCODED.search(field) else field


def qrels_line(query: str, document: str, grade: int) -> str:
    """Return a judgement as a line."""
    return f"{encode_id(query)} 0 {encode_id(document)} {grade}\n"


def read_line(line: str) -> tuple[str, str, int]:
    """
    Return query, document and grade of a line of TREC's qrels.

    Raises:
        ValueError: If it is not one.
    """
    fields = re.split(r"[ \t]+", line.strip(" \t\r\n"))
    query, _, document, grade = (decode_id(field) for field in fields)
    return query, document, int(grade)


class JudgementFolder:
    """
    The judgements in a folder, which is created with the first of them.

    Each change is on the disk when the call returns: the files are replaced as a whole, and what
    other programs have added to them stays.

    Args:
        folder: Where `queries.jsonl` and `qrels.trec` are, or will be.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.path = Path(folder).expanduser()
        self._lock = Lock()

    def grades(self, query: str) -> dict[str, int]:
        """
        Return the grades of the documents that were judged for a query's text.

        Raises:
            ValueError: If a file of the folder cannot be read, naming file and line.
        """
        with self._lock:
            queries, qrels = self._read()
        return qrels.get(_id_of(queries, query) or "", {})

    def judge(self, query: str, document: str, grade: int | None) -> dict[str, int]:
        """
        Judge a document, or take a judgement back, and return the query's grades.

        Args:
            query: The query's text.
            document: The document's id.
            grade: 1 if the document answers the query, 0 if it does not; None for no judgement.

        Raises:
            ValueError: If a file of the folder cannot be read.
        """
        check_text(query, "the query")
        check_text(document, "the id")
        with self._lock:
            queries, qrels = self._read()
            id_ = _id_of(queries, query)
            if id_ is None:
                id_ = _next_id(queries)
                queries[id_] = query
            grades = qrels.setdefault(id_, {})
            grades.pop(document, None)
            if grade is not None:
                grades[document] = grade
            self._write(queries, qrels)
        return grades

    def _read(self) -> tuple[dict[str, str], dict[str, dict[str, int]]]:
        queries: dict[str, str] = {}
        for place, line in _lines(self.path / QUERIES):
            try:
                row = json.loads(line)
                queries[str(row["_id"])] = str(row["text"])
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(
                    f'{place}: not a query, {{"_id": …, "text": …}}; mend or remove it'
                ) from error
        qrels: dict[str, dict[str, int]] = {}
        for place, line in _lines(self.path / QRELS):
            try:
                query, document, grade = read_line(line)
            except ValueError as error:
                raise ValueError(
                    f"{place}: not a line of qrels (query 0 document grade); mend or remove it"
                ) from error
            qrels.setdefault(query, {})[document] = grade
        return queries, qrels

    def _write(self, queries: Mapping[str, str], qrels: Mapping[str, Mapping[str, int]]) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        rows = (
            json.dumps({"_id": id_, "text": text}, ensure_ascii=False)
            for id_, text in queries.items()
        )
        replace_text(self.path / QUERIES, "".join(f"{row}\n" for row in rows))
        lines = (
            qrels_line(query, document, grade)
            for query, grades in qrels.items()
            for document, grade in grades.items()
        )
        replace_text(self.path / QRELS, "".join(lines))


def _id_of(queries: Mapping[str, str], text: str) -> str | None:
    return next((id_ for id_, known in queries.items() if known == text), None)


def _next_id(queries: Mapping[str, str]) -> str:
    number = len(queries) + 1
    while str(number) in queries:
        number += 1
    return str(number)


def _lines(path: Path) -> list[tuple[str, str]]:
    """Return the lines of a file, each with its place; a file that is missing has none."""
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8-sig").split("\n")
    return [(f"{path}:{number}", line) for number, line in enumerate(lines, 1) if line.strip()]
