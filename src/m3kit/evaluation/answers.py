"""Whether a passage holds an answer, for collections that judge by answers and not by qrels."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence

from m3kit.evaluation.dataset import Dataset, Run


def answer_qrels(dataset: Dataset, runs: Iterable[Run], k: int) -> dict[str, dict[str, int]]:
    """
    Judge what runs found: relevant is what holds one of the query's answers.

    Reads the corpus once. `Success@k` on these qrels is what the paper calls Recall@k on MKQA.

    Args:
        dataset: A collection with `answers`.
        runs: All the runs that are to be measured.
        k: How many documents of each ranking are looked at.
    """
    wanted: dict[str, list[str]] = {}
    for run in runs:
        for query, ranking in run.items():
            for id_, _ in ranking[:k]:
                wanted.setdefault(id_, []).append(query)
    answers = {
        query: [tokens(text) for text in dataset.answers.get(query, ())]
        for query in dataset.queries
    }
    qrels: dict[str, dict[str, int]] = {query: {} for query in dataset.queries}
    for document in dataset.documents():
        if document.id in wanted:
            text = tokens(document.text)
            for query in dict.fromkeys(wanted[document.id]):
                qrels[query][document.id] = int(_holds(text, answers[query]))
    return {query: grades or {"": 0} for query, grades in qrels.items()}


def has_answer(text: str, answers: Sequence[str]) -> bool:
    """Tell whether a text holds one of the answers, token for token, whatever their case."""
    return _holds(tokens(text), [tokens(answer) for answer in answers])


def tokens(text: str) -> list[str]:
    """
    Cut a text as DPR's evaluation does: words, and every other visible character by itself.

    Letters, digits and marks make a word; the text is decomposed (NFD) and its case is dropped.
    """
    words: list[str] = []
    word: list[str] = []
    for char in unicodedata.normalize("NFD", text.translate(_QUOTES)).lower():
        kind = unicodedata.category(char)[0]
        if kind in "LNM":
            word.append(char)
            continue
        if word:
            words.append("".join(word))
            word = []
        if kind not in "ZC":
            words.append(char)
    return [*words, "".join(word)] if word else words


_QUOTES: Mapping[int, str] = {
    **dict.fromkeys((0x60, 0xB4, 0x2018, 0x2019, 0x201A, 0x201B, 0x2032), "'"),
    **dict.fromkeys((0x201C, 0x201D, 0x201E, 0x201F), '"'),
    **dict.fromkeys((*range(0x2010, 0x2016), 0x2212), "-"),
}
"""Characters that editors put for those of the keyboard."""


def _holds(text: Sequence[str], answers: Sequence[Sequence[str]]) -> bool:
    return any(
        answer
        and any(
            text[start : start + len(answer)] == answer
            for start in range(len(text) - len(answer) + 1)
        )
        for answer in answers
    )
