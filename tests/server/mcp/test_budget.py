"""Answers are within their tokens, and what they leave out is said and can be had."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.server.conftest import DOCUMENTS

from m3kit import Document
from m3kit.server.mcp.budget import compact_json, count_tokens, fit_documents, fit_lists
from m3kit.testing import json_values
from m3kit.torch import TorchEncoder

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30).map(lambda text: text * 40)
LISTED = st.lists(
    st.builds(
        Document,
        st.text("abc", min_size=1, max_size=300),
        TEXTS,
        st.dictionaries(st.text("xyz", max_size=3), json_values(), max_size=3),
    ),
    max_size=8,
    unique_by=lambda document: document.id,
)


@settings(deadline=None, max_examples=60)
@given(LISTED, st.integers(500, 3000))
def test_documents_fit(documents: list[Document], limit: int) -> None:
    fitted = fit_documents([(document, {"score": 0.5}) for document in documents], limit)
    answer: dict[str, Any] = {"hits": fitted.entries}
    if fitted.left_out is not None:
        answer["left_out"] = fitted.left_out
    assert count_tokens(answer) <= limit
    by_id = {document.id: document for document in documents}
    assert fitted.skipped == len(documents) - len(fitted.entries)
    for entry in fitted.entries:
        document = by_id[entry["id"]]
        assert entry.get("metadata", document.metadata) == document.metadata
        whole = entry["text"] == document.text
        assert whole != ("next_offset" in entry)
        if not whole:
            assert document.text[: entry["next_offset"]] == entry["text"]
            assert entry["characters"] == len(document.text)
    complete = all(
        entry["text"] == by_id[entry["id"]].text and "metadata" in entry for entry in fitted.entries
    )
    assert (fitted.left_out is None) == (complete and not fitted.skipped)


@settings(deadline=None, max_examples=30)
@given(TEXTS, st.integers(300, 900))
def test_a_text_is_read_to_its_end(text: str, limit: int) -> None:
    read, offset = "", 0
    while True:
        fitted = fit_documents([(Document("id", text), {})], limit, offset=offset)
        (entry,) = fitted.entries
        read += entry["text"]
        if "next_offset" not in entry:
            break
        assert entry["next_offset"] > offset
        offset = entry["next_offset"]
    assert read == text


def test_short_documents_leave_their_share_to_long_ones() -> None:
    long = Document("long", "many words " * 900)
    short = [Document(f"{n}", "a word") for n in range(9)]
    among = fit_documents([(document, {}) for document in [*short, long]], 2000)
    assert count_tokens(among.entries) > 1700
    assert among.cut == 1
    first = fit_documents([(document, {}) for document in [long, *short]], 2000)
    assert len(first.entries) == 10


def test_metadata_that_is_too_long_is_left_out_and_said() -> None:
    heavy = Document("heavy", "a word", {"blob": "x" * 9000})
    fitted = fit_documents([(heavy, {})], 600)
    assert fitted.entries == [{"id": "heavy", "text": "a word"}]
    assert fitted.left_out == "the metadata of 1 documents, which is too long"
    endless = fit_documents([(Document("x" * 9000, "a word"), {})], 600)
    assert endless.entries == []
    assert endless.left_out == "1 documents: ask for fewer"


@given(st.lists(st.text(max_size=30)), st.lists(st.integers()), st.integers(500, 900))
def test_lists_fit(words: list[str], numbers: list[int], limit: int) -> None:
    words, numbers = words * 20, numbers * 20
    answer = {"n": 1, "words": words, "numbers": numbers}
    fitted = fit_lists(answer, ["words", "numbers"], limit)
    assert count_tokens(fitted) <= limit
    assert words[: len(fitted["words"])] == fitted["words"]
    more = len(words) - len(fitted["words"]), len(numbers) - len(fitted["numbers"])
    said = [f"{n} {name}" for n, name in zip(more, ("words", "numbers"), strict=True) if n]
    assert fitted.get("left_out", "") == ", ".join(said)


def test_tokens_are_counted_cautiously(encoder: TorchEncoder) -> None:
    for text in DOCUMENTS.values():
        assert count_tokens(text) >= len(encoder.document_tokens(text)) - 2, text
    assert compact_json({"a": ["é", 1]}) == '{"a":["é",1]}'
