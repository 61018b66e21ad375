"""Plain text and Markdown: encodings, paragraphs, sections, front matter."""

from __future__ import annotations

from typing import Any

import pytest
from tests.ingest.conftest import Read

from m3kit.ingest import Reject, SourceDocument, Split

TEXT = "One\nparagraph.\n\n \nÖl 表.\n"


def documents(items: list[SourceDocument | Reject]) -> list[SourceDocument]:
    assert not [str(item) for item in items if isinstance(item, Reject)]
    return [item for item in items if isinstance(item, SourceDocument)]


def test_a_paragraph_is_a_document(read: Read) -> None:
    assert read("a.txt", TEXT) == [
        SourceDocument("a.txt#1", "One\nparagraph.", {"source": "a.txt"}, source="a.txt", line=1),
        SourceDocument("a.txt#2", "Öl 表.", {"source": "a.txt"}, source="a.txt", line=5),
    ]


def test_or_a_line_is(read: Read) -> None:
    items = documents(read("a.txt", TEXT, split="lines"))
    assert [(item.id, item.text, item.line) for item in items] == [
        ("a.txt#1", "One", 1),
        ("a.txt#2", "paragraph.", 2),
        ("a.txt#3", "Öl 表.", 5),
    ]


@pytest.mark.parametrize("name", ["a.txt", "a.md"])
def test_or_the_file_is_which_has_the_files_name(read: Read, name: str) -> None:
    (item,) = documents(read(name, TEXT, split=Split.file))
    assert (item.id, item.text) == (name, TEXT.strip())


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("name", ["a.txt", "a.md", "a.jsonl", "a.json", "a.csv", "a.html"])
def test_an_encoding_shows_in_its_byte_order_mark(read: Read, name: str, encoding: str) -> None:
    content = {
        "a.jsonl": '{"text": "Öl 表"}\n',
        "a.json": '{"text": "Öl 表"}\n',
        "a.csv": "text\nÖl 表\n",
        "a.html": "<p>Öl 表</p>",
    }.get(name, "Öl 表\n")
    (item,) = documents(read(name, content.encode(encoding)))
    assert item.text == "Öl 表"


@pytest.mark.parametrize("name", ["a.txt", "a.md"])
def test_a_text_that_is_not_utf8_is_rejected_as_a_whole(read: Read, name: str) -> None:
    (reject,) = read(name, b"text\n\nab\xfcc\n")
    assert isinstance(reject, Reject)
    assert (reject.source, reject.line) == (name, 3)
    assert reject.reason == (
        "not UTF-8: byte 0xfc at character 3 of the line; save the file as UTF-8 "
        "(iconv -f WINDOWS-1252 -t UTF-8)"
    )


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"%PDF-1.4\n%...", "this is PDF, and no text; leave --format out, or convert it"),
        (b"PK\x03\x04\x14\x00", "this is a ZIP archive"),
        (b"\x1f\x8b\x08\x00", "this is gzip"),
        (b"\x00\x01\x02\x03", "this is binary data, or UTF-16 without a byte order mark"),
        ("Öl".encode("utf-16-le"), "iconv -f UTF-16LE -t UTF-8"),
        ("Öl".encode("utf-16") + b"\x00", "not UTF-16: truncated data; save it as UTF-8"),
    ],
)
@pytest.mark.parametrize("format_", ["txt", "md", "jsonl", "json", "csv", "html"])
def test_what_is_no_text_is_not_read_as_text(
    read: Read, content: bytes, reason: str, format_: str
) -> None:
    (reject,) = read("report.pdf", content, format=format_)
    assert isinstance(reject, Reject)
    if format_ != "html" or "truncated" not in reason:
        assert reason in reject.reason


@pytest.mark.parametrize("split", [None, *Split])
@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv", "a.txt", "a.md", "a.html"])
@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf", b"\n \n"])
def test_an_empty_file_is_a_warning(
    read: Read, name: str, content: bytes, split: Split | None, caplog: pytest.LogCaptureFixture
) -> None:
    assert read(name, content, split=split) == []
    (message,) = caplog.messages
    assert message.endswith(f"{name} holds no document")


class TestMarkdown:
    def test_a_section_is_a_document(self, read: Read) -> None:
        first, second = documents(read("a.md", "top\n# Guide\n## Use\nit\n"))
        assert (first.id, first.metadata) == ("a.md#1", {"source": "a.md"})
        assert (second.id, second.text, second.line) == ("a.md#2", "Use\n\nit", 3)
        assert second.metadata == {
            "source": "a.md",
            "title": "Use",
            "headings": ["Guide", "Use"],
        }

    @pytest.mark.parametrize(
        ("matter", "metadata"),
        [
            ("---\ntags: [a]\nday: 2024-05-01\n---\n", {"tags": ["a"], "day": "2024-05-01"}),
            ("---\nn: 1\nnested: {x: 1.5}\n...\n", {"n": 1, "nested": {"x": 1.5}}),
            ("+++\ntitle = 'T'\ndate = 2024-05-01\n+++\n", {"title": "T", "date": "2024-05-01"}),
            ("---\n---\n", {}),
        ],
    )  # fmt: skip
    @pytest.mark.parametrize("split", [None, Split.file])
    def test_front_matter_is_metadata(
        self, read: Read, matter: str, metadata: dict[str, Any], split: Split | None
    ) -> None:
        (item,) = documents(read("a.md", f"{matter}\n# A\ntext\n", split=split))
        section = {} if split else {"title": "A", "headings": ["A"]}
        assert item.metadata == {"source": "a.md", **section, **metadata}
        assert item.text == ("# A\ntext" if split else "A\n\ntext")

    def test_lines_are_counted_from_the_top_of_the_file(self, read: Read) -> None:
        (item,) = documents(read("a.md", "---\na: 1\n---\n\n# A\ntext\n"))
        assert item.line == 5

    @pytest.mark.parametrize("text", ["---\nnever closed\n", "---\njust text\n---\nmore\n"])
    def test_lines_that_are_no_mapping_are_text(self, read: Read, text: str) -> None:
        (item,) = documents(read("a.md", text, split="file"))
        assert item.text == text.strip()

    @pytest.mark.parametrize(
        ("matter", "reason"),
        [
            ("---\na: [\n---\n", "front matter that cannot be read: while parsing"),
            ("---\na: &x [1]\nb: *x\n---\n", "aliases (*name) are not supported"),
            ("---\na: !!python/object:os.system x\n---\n", "could not determine a constructor"),
            ("---\na: .nan\n---\n", "nan is not finite"),
            ("---\n1: a\n---\n", "the key 1 is not a string"),
            ("+++\na = \n+++\n", "Invalid value"),
        ],
    )
    def test_front_matter_that_cannot_be_read_is_named(
        self, read: Read, matter: str, reason: str
    ) -> None:
        (reject,) = read("a.md", f"{matter}# A\ntext\n")
        assert isinstance(reject, Reject)
        assert reason in reject.reason
