"""Passages of long documents, by the tokens of the shipped model."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from m3kit import Document
from m3kit.backend.tokenizer import TextTokenizer
from m3kit.ingest import Reject, SourceDocument, read_sources
from m3kit.ingest import chunking as module
from m3kit.ingest.chunking import chunk, load_tokenizer
from m3kit.ingest.token_counts import TokenCounter

TOKENIZER = load_tokenizer("tiny")
WORDS = "Eine Tabelle mit mehreren Zeilen und Spalten wird eingefügt. "


def sentences(first: int, last: int) -> str:
    return " ".join(f"Tabelle {number} hat Zeilen." for number in range(first, last))


GUIDE = f"""Preface.

# Guide

{sentences(100, 140)}

## Install

{sentences(140, 150)}

```sh
# not a heading
pip install m3kit
```

## Use

{sentences(150, 190)}
"""


def split(text: str, tokens: int = 64, overlap: int = 0, **metadata: Any) -> list[Document]:
    document = Document("doc", text, metadata)
    passages = chunk([document], tokens=tokens, overlap=overlap, tokenizer=TOKENIZER)
    return [passage for passage in passages if isinstance(passage, Document)]


def size(text: str) -> int:
    (tokens,) = TOKENIZER([text], max_length=10**9)
    return tokens.full


def test_a_passage_is_a_part_of_its_document() -> None:
    passages = split(GUIDE, lang="de")
    assert len(passages) > 5
    position = 0
    for number, passage in enumerate(passages, start=1):
        assert passage.id == f"doc#{number}"
        assert size(passage.text) <= 64
        assert {"lang": "de", "parent": "doc", "position": number}.items() <= (
            passage.metadata.items()
        )
        start = GUIDE.index(passage.text, position)
        assert not GUIDE[position:start].strip()
        position = start + len(passage.text)
    assert not GUIDE[position:].strip()


def test_headings_are_those_that_all_of_a_passage_stands_under() -> None:
    for passage in split(GUIDE):
        start = GUIDE.index(passage.text)
        expected = ["Guide"] if start >= GUIDE.index("# Guide") else []
        if "## Install" in passage.text or start > GUIDE.index("## Install"):
            expected = ["Guide", "Install"]
        if "## Use" in passage.text or start > GUIDE.index("## Use"):
            expected = ["Guide", "Use"]
        assert passage.metadata.get("headings", []) == expected


def test_a_passage_over_two_sections_has_the_headings_above_both() -> None:
    (passage,) = split("# Guide\n\n## A\n\na\n\n## B\n\nb\n")
    assert passage.metadata["headings"] == ["Guide"]
    (passage,) = split("a\n\n# Guide\n\nb")
    assert "headings" not in passage.metadata


def test_headings_of_the_document_stand_above_those_of_its_text() -> None:
    (passage,) = split("## A\n\na", headings=["Guide"])
    assert passage.metadata["headings"] == ["Guide", "A"]
    (passage,) = split("## A\n\na", headings="mine")
    assert passage.metadata["headings"] == "mine"


def test_a_document_that_fits_is_a_passage() -> None:
    assert split("short", n=1) == [
        Document("doc#1", "short", {"n": 1, "parent": "doc", "position": 1})
    ]
    assert [passage.text for passage in split("")] == [""]


def test_neighbours_overlap() -> None:
    text = " ".join(f"word{number}" for number in range(400))
    passages = split(text, tokens=64, overlap=16)
    for first, second in pairwise(passages):
        start, end = text.index(second.text), text.index(first.text) + len(first.text)
        assert start < end
        assert size(text[start:end]) <= 18


def test_pages_of_a_pdf_are_counted() -> None:
    text = "\n\f".join(f"Page {page}. {WORDS * 3}" for page in range(1, 6))
    for passage in split(text, source="a.pdf"):
        assert f"Page {passage.metadata['page']}." in passage.text


def test_documents_of_sources_keep_their_source(tmp_path: Path) -> None:
    (tmp_path / "guide.md").write_text(f"---\nlang: de\n---\n{GUIDE}")
    (tmp_path / "bad.txt").write_bytes(b"\xff\xfe\xfd")
    items = read_sources([tmp_path], split="file")
    reject, *passages = chunk(items, tokens=64, tokenizer=TOKENIZER)
    assert isinstance(reject, Reject)
    for number, passage in enumerate(passages, start=1):
        assert isinstance(passage, SourceDocument)
        assert (passage.id, passage.source) == (f"guide.md#{number}", "guide.md")
        assert {"lang": "de", "source": "guide.md", "parent": "guide.md"}.items() <= (
            passage.metadata.items()
        )


def test_metadata_of_the_same_name_is_not_lost() -> None:
    documents = [
        SourceDocument("a", "x", {"position": 4}, source="a.csv", line=7),
        Document("b", "x", {"parent": "p"}),
    ]
    first, second = chunk(documents, tokenizer=TOKENIZER)
    assert str(first) == (
        "a.csv:7: the metadata of document 'a' already has position, which a passage's would "
        "replace; rename the field"
    )
    assert isinstance(second, Reject)


@pytest.mark.parametrize(
    ("tokens", "overlap", "named"),
    [(15, 0, "15 tokens is too short"), (64, 33, "none of 0 to 32"), (64, -1, "none of 0 to 32")],
)
def test_sizes_that_cannot_be_are_refused(tokens: int, overlap: int, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        chunk([], tokens=tokens, overlap=overlap, tokenizer=TOKENIZER)


@pytest.mark.parametrize(
    "text", ["表" * 3_000, "word " * 3_000, "x" * 3_000, WORDS * 80, " \n" * 3_000 + "end"]
)
def test_a_long_text_in_windows_is_split_in_whole(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_WINDOW", 1_000)
    passages = split(text, tokens=32)
    assert "".join("".join(passage.text.split()) for passage in passages) == "".join(text.split())
    assert all(size(passage.text) <= 32 for passage in passages)


@settings(max_examples=100)
@given(st.text(alphabet="aé表\u0627 \n\t#-*`\u0301\u200d\U0001f642\u00a0", max_size=400))
def test_nothing_is_lost_whatever_the_text(text: str) -> None:
    passages = split(text, tokens=16)
    joined = "".join(passage.text for passage in passages)
    assert "".join(joined.split()) == "".join(text.split())
    assert all(size(passage.text) <= 16 for passage in passages)


@given(st.text(alphabet="aé表\u0627 \n\t.#-\u0301\u200d\U0001f642\u00a0\u3000", max_size=200))
def test_words_are_counted_as_the_text_is(text: str) -> None:
    counter = TokenCounter(TOKENIZER, 10**6)
    assert counter(text) == counter(text) == size(text) - 2


def test_a_tokenizer_that_sees_the_whole_text_counts_it_whole() -> None:
    whole = TextTokenizer(TOKENIZER._tokenizer, [])
    assert whole.parts("a b c") == ["a b c"]
    assert TokenCounter(whole, 10**6)(WORDS) == TokenCounter(TOKENIZER, 10**6)(WORDS)
