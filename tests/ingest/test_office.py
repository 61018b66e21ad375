"""HTML, PDF, DOCX and Parquet, in files that libraries write here."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from io import BytesIO
from zipfile import ZIP_DEFLATED, ZipFile

import docx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pypdf import PdfWriter
from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject
from tests.ingest.conftest import Read

from m3kit.ingest import Reject, SourceDocument, Split
from m3kit.ingest.readers import docx as docx_reader


def documents(items: list[SourceDocument | Reject]) -> list[SourceDocument]:
    assert not [str(item) for item in items if isinstance(item, Reject)]
    return [item for item in items if isinstance(item, SourceDocument)]


def reject(items: list[SourceDocument | Reject]) -> str:
    (item,) = items
    assert isinstance(item, Reject)
    return str(item)


def saved(save: Callable[[BytesIO], object]) -> bytes:
    stream = BytesIO()
    save(stream)
    return stream.getvalue()


def pdf(*pages: str, title: str = "", key: str = "") -> bytes:
    """Write a PDF, each page with a line of Helvetica."""
    writer = PdfWriter()
    font = DictionaryObject(
        {
            NameObject("/Type"): NameObject("/Font"),
            NameObject("/Subtype"): NameObject("/Type1"),
            NameObject("/BaseFont"): NameObject("/Helvetica"),
        }
    )
    for text in pages:
        page = writer.add_blank_page(width=200, height=200)
        fonts = DictionaryObject({NameObject("/F1"): writer._add_object(font)})
        page[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): fonts})
        content = DecodedStreamObject()
        content.set_data(f"BT /F1 12 Tf 10 100 Td ({text}) Tj ET".encode())
        page[NameObject("/Contents")] = writer._add_object(content)
    if title:
        writer.add_metadata({"/Title": title})
    if key:
        writer.encrypt(key, algorithm="RC4-128")
    return saved(writer.write)


class TestPdf:
    def test_a_page_is_a_document(self, read: Read) -> None:
        first, third = documents(read("a.pdf", pdf("One.", "", "Three.", title="Report")))
        assert (first.id, first.text) == ("a.pdf#1", "One.")
        assert first.metadata == {"source": "a.pdf", "title": "Report", "page": 1}
        assert (third.id, third.text, third.metadata["page"]) == ("a.pdf#3", "Three.", 3)

    def test_or_the_file_is_with_form_feeds_between_pages(self, read: Read) -> None:
        (item,) = documents(read("a.pdf", pdf("One.", "Two."), split=Split.file))
        assert (item.id, item.text) == ("a.pdf", "One.\n\fTwo.")

    def test_an_encrypted_one_is_rejected(self, read: Read) -> None:
        assert "encrypted with a password" in reject(read("a.pdf", pdf("x", key="p")))

    def test_one_that_asks_for_no_password_to_be_read_is_read(self, read: Read) -> None:
        writer = PdfWriter(BytesIO(pdf("Open.")))
        writer.encrypt("", "owner", algorithm="RC4-128")
        (item,) = documents(read("a.pdf", saved(writer.write)))
        assert item.text == "Open."

    @pytest.mark.parametrize("size", [0, 8, 100, 400])
    def test_a_broken_one_is_rejected(self, read: Read, size: int) -> None:
        assert "not a readable PDF" in reject(read("a.pdf", pdf("One.")[:size] or b"%"))

    def test_images_of_pages_have_no_text(self, read: Read) -> None:
        assert "no text on 2 pages" in reject(read("a.pdf", pdf("", "")))


class TestDocx:
    def test_a_section_is_a_document(self, read: Read) -> None:
        file = docx.Document()
        file.core_properties.title = "Manual"
        file.add_paragraph("Before.")
        file.add_heading("Install", 1)
        file.add_paragraph("first", style="List Bullet")
        file.add_heading("On Windows", 2)
        table = file.add_table(2, 2)
        for cell, text in zip(table._cells, ["k", "v", "1", "2"], strict=True):
            cell.text = text
        before, install, windows = documents(read("a.docx", saved(file.save)))
        assert (before.id, before.text) == ("a.docx#1", "Before.")
        assert install.text == "Install\n\n- first"
        assert windows.text == "On Windows\n\n| k | v |\n| --- | --- |\n| 1 | 2 |"
        assert windows.metadata == {
            "source": "a.docx",
            "title": "Manual",
            "headings": ["Install", "On Windows"],
        }

    def test_a_title_stands_above_all_headings(self, read: Read) -> None:
        file = docx.Document()
        file.add_heading("Manual", 0)
        file.add_heading("Install", 1)
        file.add_paragraph("it")
        (item,) = documents(read("a.docx", saved(file.save)))
        assert item.metadata["headings"] == ["Manual", "Install"]

    @pytest.mark.parametrize("content", [b"PK\x03\x04broken", b"text", b""])
    def test_a_broken_one_is_rejected(self, read: Read, content: bytes) -> None:
        assert "not a readable DOCX" in reject(read("a.docx", content))

    def test_an_archive_of_something_else_is_rejected(self, read: Read) -> None:
        def save(stream: BytesIO) -> None:
            with ZipFile(stream, "w") as archive:
                archive.writestr("a.txt", "x")

        assert "not a readable DOCX" in reject(read("a.docx", saved(save)))

    def test_one_that_would_fill_the_memory_is_rejected(
        self, read: Read, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def save(stream: BytesIO) -> None:
            with ZipFile(stream, "w", ZIP_DEFLATED) as archive:
                archive.writestr("word/document.xml", b" " * 10**7)

        monkeypatch.setattr(docx_reader, "_MAX_BYTES", 10**6)
        content = saved(save)
        assert len(content) < 10**5
        assert "its parts have 10000000 bytes" in reject(read("a.docx", content))

    def test_an_old_or_encrypted_one_is_named(self, read: Read) -> None:
        content = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500)
        assert "an old .doc, or encrypted" in reject(read("a.docx", content))


class TestHtml:
    page = """<html><head><title>My
      page</title><style>p {}</style></head><body><p>Before.</p>
      <h1>Guide</h1><p>Read <a href="https://x.org">this</a> &amp; that.</p><script>no()</script>
      <h2>Use</h2><ul><li>one</li><li>two</li></ul></body></html>"""

    def test_a_section_is_a_document(self, read: Read) -> None:
        before, guide, use = documents(read("a.html", self.page))
        assert (before.id, before.text) == ("a.html#1", "Before.")
        assert guide.text == "Guide\n\nRead this & that."
        assert use.text == "Use\n\n- one\n- two"
        assert use.metadata == {
            "source": "a.html",
            "title": "My page",
            "headings": ["Guide", "Use"],
        }

    def test_a_page_may_declare_its_encoding(self, read: Read) -> None:
        page = '<meta charset="windows-1252"><p>Öl</p>'.encode("cp1252")
        assert [item.text for item in documents(read("a.html", page))] == ["Öl"]
        assert "not UTF-8" in reject(read("b.html", "<p>Öl</p>".encode("cp1252")))

    def test_elements_nested_too_deeply_are_rejected(self, read: Read) -> None:
        assert "nested too deeply" in reject(read("a.html", "<div>" * 2_000 + "x"))

    @pytest.mark.parametrize("page", ['<?xml version="1.0"?><html><p>x</p></html>', "x.html", "x"])
    def test_a_page_that_is_unusual_is_read_in_silence(self, read: Read, page: str) -> None:
        (item,) = documents(read("a.html", page))
        assert item.text.startswith("x")


class TestParquet:
    def parquet(self, **columns: object) -> bytes:
        return saved(lambda stream: pq.write_table(pa.table(columns), stream, row_group_size=2))

    def test_a_row_is_a_document(self, read: Read) -> None:
        content = self.parquet(
            id=[1, 2, 3],
            text=["a", "b", "c"],
            day=[date(2024, 5, 1), None, date(2024, 5, 3)],
            time=pa.array([1_714_555_555_123_456_789, None, 0], pa.timestamp("ns", "UTC")),
            price=[Decimal("1.50"), None, Decimal("2.00")],
            score=[0.5, float("nan"), 1.0],
            tags=[["x"], [], None],
        )
        first, second, third = documents(read("a.parquet", content))
        assert (first.id, first.text) == ("1", "a")
        assert first.metadata == {
            "day": "2024-05-01",
            "time": datetime.fromtimestamp(1_714_555_555, UTC)
            .replace(microsecond=123_456)
            .isoformat(),
            "price": "1.50",
            "score": 0.5,
            "tags": ["x"],
        }
        assert second.metadata == {
            "day": None,
            "time": None,
            "price": None,
            "score": None,
            "tags": [],
        }
        assert third.id == "3"

    def test_a_row_without_id_has_its_number(self, read: Read) -> None:
        first, bad, last = read("a.parquet", self.parquet(text=["a", None, "c"]))
        assert [getattr(first, "id", ""), getattr(last, "id", "")] == [
            "a.parquet#1",
            "a.parquet#3",
        ]
        assert str(bad) == "a.parquet: record 2: the field 'text' is no string: null"

    def test_binary_columns_are_left_out_and_named(
        self, read: Read, caplog: pytest.LogCaptureFixture
    ) -> None:
        (item,) = documents(read("a.parquet", self.parquet(text=["a"], image=[b"\xff"])))
        assert item.metadata == {}
        assert caplog.messages == ["a.parquet: binary columns are left out: image"]

    @pytest.mark.parametrize("content", [b"PAR1", b"", b"PAR1" + bytes(100) + b"PAR1", b"text"])
    def test_a_broken_one_is_rejected(self, read: Read, content: bytes) -> None:
        assert "not a readable Parquet file" in reject(read("a.parquet", content))
