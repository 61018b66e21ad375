"""JSONL, JSON and CSV: a document per record."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.ingest.conftest import Read

from m3kit.ingest import Reject, SourceDocument
from m3kit.ingest.columns import typed_columns, typed_values
from m3kit.records import Json


def document(
    id_: str, text: str, source: str, line: int | None, /, **metadata: Json
) -> SourceDocument:
    return SourceDocument(id_, text, metadata, source=source, line=line)


class TestJsonl:
    def test_an_object_is_a_document(self, read: Read) -> None:
        line = '{"id": "a", "text": "表", "metadata": {"n": 1}, "lang": "ja", "tags": ["x"]}'
        assert read("a.jsonl", line) == [
            document("a", "表", "a.jsonl", 1, n=1, lang="ja", tags=["x"])
        ]

    def test_a_document_without_id_is_called_by_file_and_number(self, read: Read) -> None:
        assert read("a.jsonl", '{"text": "one"}\n\n  \n{"text": "two"}\n') == [
            document("a.jsonl#1", "one", "a.jsonl", 1),
            document("a.jsonl#2", "two", "a.jsonl", 4),
        ]

    def test_a_reject_keeps_its_number(self, read: Read) -> None:
        first, reject, last = read("a.jsonl", '{"text": "one"}\n{"texd": "x"}\n{"text": "two"}\n')
        assert [first, last] == [
            document("a.jsonl#1", "one", "a.jsonl", 1),
            document("a.jsonl#3", "two", "a.jsonl", 3),
        ]
        assert isinstance(reject, Reject)

    def test_the_fields_of_text_and_id_have_any_name(self, read: Read) -> None:
        line = '{"key": 7, "body": "b", "text": "t", "id": 1}'
        assert read("a.jsonl", line, text_fields=["body"], id_field="key") == [
            document("7", "b", "a.jsonl", 1, text="t", id=1)
        ]

    def test_several_text_fields_are_joined(self, read: Read) -> None:
        lines = ['{"title": "T", "body": "b"}', '{"title": null, "body": "b"}', '{"title": "T"}']
        documents = read("a.jsonl", "\n".join(lines), text_fields=["title", "body"])
        assert [item.text for item in documents if isinstance(item, SourceDocument)] == [
            "T\n\nb",
            "b",
            "T",
        ]
        (reject,) = read("a.jsonl", '{"x": 1}', text_fields=["title", "body"])
        assert "no field 'title' or 'body'; the fields are x" in str(reject)

    def test_metadata_that_is_no_object_is_a_field(self, read: Read) -> None:
        assert read("a.jsonl", '{"id": "a", "text": "", "metadata": "m"}') == [
            document("a", "", "a.jsonl", 1, metadata="m")
        ]

    def test_windows_line_ends_are_no_text(self, read: Read) -> None:
        lines = b'{"id": "a", "text": "x"}\r\n{"id": "b", "text": ""}\r\n'
        assert [item.id for item in read("a.jsonl", lines) if isinstance(item, SourceDocument)] == [
            "a",
            "b",
        ]

    @pytest.mark.parametrize(
        ("line", "reason"),
        [
            ('{"text": "x"', "not JSON: Expecting ',' delimiter at column 13"),
            ("[1, 2]", "a JSON object is expected, not [1, 2]"),
            ('{"texd": "x", "n": 1}', "no field 'text'; the fields are texd, n"),
            ("{}", "the fields are none"),
            ('{"text": null}', "the field 'text' is no string: null"),
            ('{"text": "", "id": 1.5}', "the field 'id' is no string: 1.5"),
            ('{"text": "", "id": null}', "the field 'id' is no string: null"),
            ('{"text": "", "id": true}', "the field 'id' is no string: true"),
            ('{"text": "", "id": ""}', "a document's id is empty"),
            ('{"text": "", "n": NaN}', "nan is not finite"),
            ('{"text": "", "n": 1' + "0" * 30 + "}", "does not fit into 64 bits"),
            ('{"text": "", "n": 1' + "0" * 5000 + "}", "Exceeds the limit"),
            ('{"text": "\\ud800"}', "the text of document 'a.jsonl#2' holds a lone"),
            ('{"text": "", "n": ' + "[" * 10**5, "JSON that cannot be read"),
            ('{"text": "", "n": 1, "metadata": {"n": 2}}', "'n' is both in metadata and beside it"),
            ('{"text": "\udcfc"}', "not UTF-8: byte 0xfc at character 11 of the line"),
        ],
    )
    def test_a_bad_line_is_rejected_and_the_others_are_read(
        self, read: Read, line: str, reason: str
    ) -> None:
        lines = f'{{"text": "x"}}\n{line}\n{{"text": "y"}}\n'.encode(errors="surrogateescape")
        first, reject, last = read("a.jsonl", lines)
        assert isinstance(reject, Reject)
        assert (reject.source, reject.line) == ("a.jsonl", 2)
        assert reason in reject.reason
        assert "\n" not in reject.reason
        assert isinstance(first, SourceDocument)
        assert isinstance(last, SourceDocument)

    def test_an_id_field_that_is_named_must_be_there(self, read: Read) -> None:
        (reject,) = read("a.jsonl", '{"text": "x", "id": "a"}', id_field="key")
        assert "no field 'key', which has the id; the fields are id" in str(reject)


class TestJson:
    def test_a_list_has_a_document_per_object(self, read: Read) -> None:
        content = '[{"id": "a", "text": "x", "n": 1},\n {"text": "y"}, {"texd": ""}, 4]'
        first, second, third, fourth = read("a.json", content)
        assert first == document("a", "x", "a.json", None, n=1)
        assert second == document("a.json#2", "y", "a.json", None)
        assert str(third).startswith("a.json: record 3: no field 'text'; the fields are texd")
        assert str(fourth) == "a.json: record 4: a JSON object is expected, not 4"

    def test_an_object_is_a_document(self, read: Read) -> None:
        assert read("a.json", '{"text": "x"}') == [document("a.json#1", "x", "a.json", None)]

    def test_what_is_no_json_is_rejected(self, read: Read) -> None:
        (reject,) = read("a.json", '[{"text":\n"x"]')
        assert str(reject) == "a.json:2: not JSON: Expecting ',' delimiter at column 4"
        (reject,) = read("a.json", '{"text": "x"}\n{"text": "y"}')
        assert str(reject).endswith("give --format jsonl if there is an object per line")


class TestCsv:
    def test_a_row_is_a_document(self, read: Read) -> None:
        assert read("a.csv", 'id,text,lang\na,"one, ""two""\nthree",de\n\nb,x,\n') == [
            document("a", 'one, "two"\nthree', "a.csv", 2, lang="de"),
            document("b", "x", "a.csv", 5, lang=""),
        ]

    def test_columns_of_numbers_and_booleans_are_such(self, read: Read) -> None:
        rows = "text,year,price,zip,new,mixed\na,2020,1.5,01234,true,1\nb,,2,99999,False,x\n"
        assert read("a.csv", rows) == [
            document("a.csv#1", "a", "a.csv", 2, year=2020, price=1.5, zip="01234", new=True,
                     mixed="1"),
            document("a.csv#2", "b", "a.csv", 3, price=2, zip="99999", new=False, mixed="x"),
        ]  # fmt: skip

    def test_ids_and_texts_stay_as_they_are(self, read: Read) -> None:
        assert read("a.csv", "id,text\n1,007\n2,8\n") == [
            document("1", "007", "a.csv", 2),
            document("2", "8", "a.csv", 3),
        ]

    @pytest.mark.parametrize("delimiter", [",", ";", "\t"])
    def test_the_first_row_shows_the_separator(self, read: Read, delimiter: str) -> None:
        rows = [["id", "text", "lang"], ["a", "x", "de"]]
        content = "\n".join(delimiter.join(row) for row in rows)
        assert read("a.csv", content) == [document("a", "x", "a.csv", 2, lang="de")]

    @pytest.mark.parametrize(
        ("header", "row", "metadata"),
        [
            ('"id, x";text', "m;t", {"id, x": "m"}),
            ('text;"a, b, ""c, d"" e"', "t;m", {'a, b, "c, d" e': "m"}),
            ('"a, b"\ttext', "m\tt", {"a, b": "m"}),
            ('"one; two; three",text', "m,t", {"one; two; three": "m"}),
            ('5" disk;text;3" disk', "m;t;n", {'5" disk': "m", '3" disk': "n"}),
        ],
    )
    def test_a_separator_in_quotes_does_not_count(
        self, read: Read, header: str, row: str, metadata: dict[str, str]
    ) -> None:
        content = f"{header}\n{row}\n"
        assert read("a.csv", content) == [document("a.csv#1", "t", "a.csv", 2, **metadata)]

    def test_blank_lines_above_the_first_row_do_not_count(self, read: Read) -> None:
        content = "\n \t\n\nname;text\nn;t\n"
        assert read("a.csv", content) == [document("a.csv#1", "t", "a.csv", 5, name="n")]
        assert read("blank.csv", "\n\n") == []

    def test_a_row_begins_on_its_first_line(self, read: Read) -> None:
        items = read("a.csv", 'text\n"two\nlines"\nlast\n')
        assert [item.line for item in items] == [2, 4]

    def test_a_text_may_be_long(self, read: Read) -> None:
        (item,) = read("a.csv", f"text\n{'x' * 300_000}\n")
        assert isinstance(item, SourceDocument)
        assert len(item.text) == 300_000

    @pytest.mark.parametrize(
        ("content", "texts", "rejects"),
        [
            ("body\nx\n", [], ["a.csv:2: no field 'text'; the fields are body"]),
            (
                "text,n\na,1\nb,y,z\nc\nd,2\n",
                ["a", "d"],
                ["a.csv:3: 3 fields, where the first", "a.csv:4: 1 fields, where the first"],
            ),
            ('text\na\n"y\nz\n', ["a"], ["a.csv:3: not CSV: unexpected end of data"]),
            ('text,n\n"a"b,1\nc,2\n', ["c"], ["a.csv:2: not CSV: ',' expected after '\"'"]),
            ("text,text\na,b\n", [], ["a.csv:1: two columns have one name in text, text"]),
            ("\ntext;text\na;b\n", [], ["a.csv:2: two columns have one name in text, text"]),
            (b"text,n\na\xfc,1\nb,2\n", ["b"], ["a.csv:2: not UTF-8: byte 0xfc at character 2"]),
            (b"text,\xfc\na,1\n", [], ["a.csv:1: not UTF-8"]),
        ],
    )
    def test_a_bad_row_is_rejected_and_the_others_are_read(
        self, read: Read, content: str | bytes, texts: list[str], rejects: list[str]
    ) -> None:
        items = read("a.csv", content)
        assert [item.text for item in items if isinstance(item, SourceDocument)] == texts
        rejected = [str(item) for item in items if isinstance(item, Reject)]
        assert len(rejected) == len(rejects)
        assert all(map(str.startswith, rejected, rejects))

    @given(st.lists(st.one_of(st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False,
           allow_infinity=False)), min_size=1))  # fmt: skip
    def test_numbers_are_what_json_says(self, numbers: list[float]) -> None:
        texts = [json.dumps(number) for number in numbers]
        typed = typed_columns(["n"], [[text] for text in texts])
        assert [typed_values({"n": text}, typed)["n"] for text in texts] == numbers

    @given(st.lists(st.text(), min_size=1))
    def test_what_is_no_number_stays_as_it_is(self, texts: list[str]) -> None:
        rows = [[text] for text in [*texts, "no number"]]
        typed = typed_columns(["n"], rows)
        assert [typed_values({"n": text}, typed) for text in texts] == [{"n": t} for t in texts]
