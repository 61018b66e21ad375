from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from m3kit import Document
from m3kit.cli.exit_codes import InputError
from m3kit.cli.reading import Reading, Split
from m3kit.cli.sources import Format, find_sources

Write = Callable[[str, "str | bytes"], str]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    monkeypatch.chdir(tmp_path)

    def write(name: str, content: str | bytes) -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return name

    return write


def read(*files: str, format_: Format | None = None, **options: Any) -> list[Document]:
    return list(Reading(**options).documents(find_sources(files, format_)))


class TestJsonl:
    def test_an_object_is_a_document(self, write: Write) -> None:
        line = '{"id": "a", "text": "表", "metadata": {"n": 1}, "lang": "ja", "tags": ["x"]}'
        assert read(write("a.jsonl", line)) == [
            Document("a", "表", {"n": 1, "lang": "ja", "tags": ["x"]})
        ]

    def test_a_document_without_id_is_called_by_file_and_line(self, write: Write) -> None:
        write("in/a.jsonl", '{"text": "one"}\n\n  \n{"text": "two"}\n')
        assert [d.id for d in read("in/a.jsonl")] == ["in/a.jsonl:1", "in/a.jsonl:4"]

    def test_the_name_in_an_id_is_the_same_from_wherever_it_is_given(
        self, write: Write, tmp_path: Path
    ) -> None:
        write("in/a.jsonl", '{"text": "one"}')
        for name in (
            "in/a.jsonl",
            "./in/a.jsonl",
            "in/../in/a.jsonl",
            str(tmp_path / "in/a.jsonl"),
        ):
            assert [d.id for d in read(name)] == ["in/a.jsonl:1"]

    def test_a_number_may_be_an_id(self, write: Write) -> None:
        assert read(write("a.jsonl", '{"id": 7, "text": ""}')) == [Document("7", "")]

    def test_fields_have_the_names_that_people_say(self, write: Write) -> None:
        file = write("a.jsonl", '{"key": "k", "body": "b", "text": "t", "id": 1}')
        assert read(file, text_field="body", id_field="key") == [
            Document("k", "b", {"text": "t", "id": 1})
        ]

    def test_metadata_that_is_no_object_is_a_field(self, write: Write) -> None:
        assert read(write("a.jsonl", '{"id": "a", "text": "", "metadata": "m"}')) == [
            Document("a", "", {"metadata": "m"})
        ]

    def test_a_byte_order_mark_and_windows_line_ends_are_no_text(self, write: Write) -> None:
        file = write(
            "a.jsonl", b'\xef\xbb\xbf{"id": "a", "text": "x"}\r\n{"id": "b", "text": ""}\r\n'
        )
        assert [d.id for d in read(file)] == ["a", "b"]

    @pytest.mark.parametrize(
        ("line", "named"),
        [
            ('{"text": "x"', "a.jsonl:2: not JSON: Expecting ',' delimiter at column 13"),
            ("[1, 2]", "a.jsonl:2: a JSON object is expected on every line, not [1, 2]"),
            ('{"texd": "x", "n": 1}', "a.jsonl:2: no field 'text'; the fields are texd, n"),
            ("{}", "the fields are none"),
            ('{"text": null}', "a.jsonl:2: the field 'text' is no string: null"),
            ('{"text": "", "id": 1.5}', "a.jsonl:2: the field 'id' is no string: 1.5"),
            ('{"text": "", "id": null}', "a.jsonl:2: the field 'id' is no string: null"),
            ('{"text": "", "id": true}', "a.jsonl:2: the field 'id' is no string: true"),
            ('{"text": "", "id": ""}', "a.jsonl:2: a document's id is empty"),
            ('{"text": "", "n": NaN}', "a.jsonl:2: nan is not finite"),
            ('{"text": "", "n": 1' + "0" * 30 + "}", "does not fit into 64 bits"),
            ('{"text": "", "n": 1' + "0" * 5000 + "}", "a.jsonl:2: JSON that cannot be read"),
            ('{"text": "\\ud800"}', "a.jsonl:2: the text of document 'a.jsonl:2' holds a lone"),
            ('{"text": "", "n": ' + "[" * 10**5, "a.jsonl:2: JSON that cannot be read"),
            ('{"text": "", "n": 1, "metadata": {"n": 2}}', "'n' is both in metadata and beside it"),
        ],
    )
    def test_a_bad_line_is_named_and_those_before_it_are_read(
        self, write: Write, line: str, named: str
    ) -> None:
        documents = Reading().documents(
            find_sources([write("a.jsonl", f'{{"id": "good", "text": "x"}}\n{line}\n')])
        )
        assert next(documents).id == "good"
        with pytest.raises(InputError) as caught:
            next(documents)
        assert named in str(caught.value)
        assert "\n" not in str(caught.value)


class TestCsv:
    def test_a_row_is_a_document_and_its_values_are_strings(self, write: Write) -> None:
        file = write("a.csv", 'id,text,year\na,"one, ""two""\nthree",2020\n\nb,x,\n')
        assert read(file) == [
            Document("a", 'one, "two"\nthree', {"year": "2020"}),
            Document("b", "x", {"year": ""}),
        ]

    @pytest.mark.parametrize("delimiter", [",", ";", "\t"])
    def test_the_first_row_shows_the_separator(self, write: Write, delimiter: str) -> None:
        rows = [["id", "text", "lang"], ["a", "x", "de"]]
        file = write("a.csv", "\n".join(delimiter.join(row) for row in rows))
        assert read(file) == [Document("a", "x", {"lang": "de"})]

    @pytest.mark.parametrize(
        ("header", "row", "metadata"),
        [
            ('"id, x";text', "1;t", {"id, x": "1"}),
            ('text;"a, b, ""c, d"" e"', "t;1", {'a, b, "c, d" e': "1"}),
            ('"a, b"\ttext', "1\tt", {"a, b": "1"}),
            ('"one; two; three",text', "1,t", {"one; two; three": "1"}),
            ('5" disk;text;3" disk', "1;t;2", {'5" disk': "1", '3" disk': "2"}),
        ],
    )
    def test_a_separator_in_quotes_does_not_count(
        self, write: Write, header: str, row: str, metadata: dict[str, str]
    ) -> None:
        file = write("a.csv", f"{header}\n{row}\n")
        assert read(file) == [Document("a.csv:2", "t", metadata)]

    def test_blank_lines_above_the_first_row_do_not_count(self, write: Write) -> None:
        file = write("a.csv", "\n \t\n\nname;text\nn;t\n")
        assert read(file) == [Document("a.csv:5", "t", {"name": "n"})]
        assert read(write("blank.csv", "\n\n")) == []

    def test_white_space_around_a_name_does_not_count(self, write: Write) -> None:
        assert read(write("a.csv", "id, text\na,x\n")) == [Document("a", "x")]

    def test_a_row_without_id_is_called_by_the_line_it_begins_on(self, write: Write) -> None:
        file = write("a.csv", 'text\n"two\nlines"\nlast\n')
        assert [d.id for d in read(file)] == ["a.csv:2", "a.csv:4"]

    def test_a_text_may_be_long(self, write: Write) -> None:
        file = write("a.csv", f"text\n{'x' * 300_000}\n")
        assert len(read(file)[0].text) == 300_000

    @pytest.mark.parametrize(
        ("content", "named"),
        [
            ("body\nx\n", "a.csv:2: no field 'text'; the fields are body"),
            ("id,text\na,x\nb,y,z\n", "a.csv:3: 3 fields, where the first row names 2"),
            ("id,text\na\n", "a.csv:2: 1 fields, where the first row names 2"),
            ('id,text\na,x\nb,"y\nz\n', "a.csv:3: not CSV: unexpected end of data"),
            ("text,text\na,b\n", "a.csv:1: two columns have one name in text, text"),
            ("\ntext;text\na;b\n", "a.csv:2: two columns have one name in text, text"),
            ('\n"x, y";text\n1\n', "a.csv:3: 1 fields, where the first row names 2"),
        ],
    )
    def test_a_bad_row_is_named(self, write: Write, content: str, named: str) -> None:
        with pytest.raises(InputError) as caught:
            read(write("a.csv", content))
        assert named in str(caught.value)


class TestTxt:
    text = "One\nparagraph.\n\n \nAnother.\n"

    def test_a_paragraph_is_a_document(self, write: Write) -> None:
        assert read(write("a.txt", self.text)) == [
            Document("a.txt:1", "One\nparagraph.", {"source": "a.txt"}),
            Document("a.txt:5", "Another.", {"source": "a.txt"}),
        ]

    def test_or_a_line_is(self, write: Write) -> None:
        documents = read(write("a.txt", self.text), split=Split.lines)
        assert [(d.id, d.text) for d in documents] == [
            ("a.txt:1", "One"),
            ("a.txt:2", "paragraph."),
            ("a.txt:5", "Another."),
        ]

    def test_or_the_file_is(self, write: Write) -> None:
        documents = read(write("a.txt", self.text), split=Split.file)
        assert documents == [Document("a.txt", self.text.strip(), {"source": "a.txt"})]


class TestSources:
    def test_a_folder_stands_for_all_files_in_it(self, write: Write) -> None:
        for name in ("d/b.md", "d/sub/a.txt", "d/a.JSONL", "d/.hidden/x.txt", "d/.x.txt", "d/x.py"):
            write(name, "")
        assert [source.name for source in find_sources(["d"])] == [
            "d/a.JSONL",
            "d/b.md",
            "d/sub/a.txt",
        ]

    def test_stdin_is_jsonl_or_what_is_said(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def stdin(content: bytes) -> None:
            monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))

        stdin(b'{"text": "x"}')
        assert read("-") == [Document("stdin:1", "x")]
        stdin("Ein Absatz über Öl.".encode())
        assert [d.text for d in read("-", format_=Format.txt)] == ["Ein Absatz über Öl."]

    @pytest.mark.parametrize("split", Split)
    @pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.txt", "a.md"])
    @pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf", b"\n \n"])
    def test_an_empty_file_holds_nothing_and_says_so(
        self,
        write: Write,
        name: str,
        content: bytes,
        split: Split,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        assert read(write(name, content), split=split) == []
        assert caplog.messages == [f"{name} holds no document"]

    @pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.txt", "a.md"])
    def test_bytes_that_are_not_utf8_are_named(self, write: Write, name: str) -> None:
        with pytest.raises(InputError) as caught:
            read(write(name, b"text\n\nab\xfcc\n"), split=Split.lines, text_field="text")
        if name != "a.jsonl":  # whose first line is no JSON
            assert f"{name}:3: not UTF-8: invalid start byte at byte 8 of the file" in str(
                caught.value
            )

    def test_a_file_that_is_not_there_is_named(self) -> None:
        with pytest.raises(InputError, match=r"no\.txt: there is no such file"):
            read("no.txt")

    def test_an_unknown_suffix_asks_for_the_format(self, write: Write) -> None:
        with pytest.raises(InputError, match="give it with --format"):
            read(write("a.pdf", ""))
        assert [d.text for d in read(write("a.log", "x"), format_=Format.txt)] == ["x"]

    def test_a_folder_without_any_such_file_is_an_error(self, write: Write) -> None:
        write("d/a.py", "")
        with pytest.raises(InputError, match="d: no file in this folder ends with"):
            read("d")

    def test_what_was_read_is_counted_in_bytes(self, write: Write) -> None:
        file = write("a.txt", "Öl\n\nzwei\n")
        counted: list[int] = []
        read(file, on_bytes=counted.append)
        assert sum(counted) == find_sources([file])[0].size == 10
