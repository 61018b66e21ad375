from __future__ import annotations

import io
import json

import pytest
from rich.cells import cell_len

from m3kit import Document, Hit
from m3kit.cli.printing import print_json
from m3kit.cli.tables import show_explanation, show_hits, show_rows
from m3kit.cli.terminal import to_line
from m3kit.explain import Alignment, Explanation, Match

EVIL = "\x1b[31mred\x1b]0;title\x07 \x9b31m [bold]not bold[/bold] [/] \u202egnp.exe\x00\r\x08end"


@pytest.fixture(autouse=True)
def _narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")


def assert_plain(shown: str) -> None:
    assert not [char for char in shown if ord(char) < 32 and char != "\n"]
    assert not {"\x7f", "\x9b", "\u202e"} & set(shown)


def test_a_hit_shows_rank_scores_id_metadata_and_text(capsys: pytest.CaptureFixture[str]) -> None:
    document = Document("doc-1", "Ein Text\nmit zwei Zeilen.", {"lang": "de", "n": 1})
    show_hits([Hit(document, 0.75, {"dense": 0.5, "colbert": 0.75})])
    first, *lines = capsys.readouterr().out.splitlines()
    assert first.split() == ["score", "dense", "colbert", "document"]
    assert lines[0].split() == ["1", "0.750", "0.500", "0.750", "doc-1"]
    assert [line.strip() for line in lines[1:]] == ["Ein Text mit zwei Zeilen.", "lang=de n=1"]


def test_a_long_or_wide_text_takes_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    show_hits([Hit(Document("表", "漢字" * 500), 1.0), Hit(Document("b", "word " * 500), 1.0)])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    assert all(cell_len(line) <= 60 for line in lines)
    assert sum("…" in line for line in lines) == 2


def test_a_long_id_is_shown_whole(capsys: pytest.CaptureFixture[str]) -> None:
    show_hits([Hit(Document("x" * 100, "text"), 1.0)])
    assert capsys.readouterr().out.count("x") == 101  # one in "text"


def test_a_text_of_a_document_is_data(capsys: pytest.CaptureFixture[str]) -> None:
    show_hits([Hit(Document(EVIL, EVIL, {EVIL: EVIL}), 1.0)])
    show_explanation(
        Explanation(
            {"sparse": 1.0, "colbert": 1.0},
            (Match(EVIL, 1, 1.0, 1.0),),
            (Alignment(EVIL, EVIL, 1, 1.0),),
        )
    )
    show_rows({"index": EVIL})
    shown = capsys.readouterr().out
    assert_plain(shown)
    assert "[bold]" in shown
    assert "[/]" in shown


def test_an_explanation_shows_scores_matches_and_alignment(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show_explanation(
        Explanation(
            {"dense": 0.5, "sparse": 0.06, "colbert": 0.9},
            (Match("▁table", 7, 0.2, 0.3),),
            (Alignment("▁table", "▁tables", 4, 0.9), Alignment("</s>", "</s>", 9, -0.1)),
        )
    )
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["sparse", "0.060"] in lines
    assert ["▁table", "0.200", "0.300", "0.060"] in lines
    assert ["▁table", "▁tables", "4", "0.900", "━" * 9] in lines
    assert ["</s>", "</s>", "9", "-0.100"] in lines


def test_no_match_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    show_explanation(Explanation({"sparse": 0.0}, (), ()))
    assert "none" in capsys.readouterr().out


def test_json_carries_every_character_and_steers_no_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_json({"text": EVIL})
    shown = capsys.readouterr().out
    assert json.loads(shown) == {"text": EVIL}
    assert not {"\x1b", "\x7f", "\x9b", "\x00"} & set(shown)


def test_a_line_is_plain() -> None:
    assert to_line("a\n\tb\u2028c\u0000d") == "a b c d"
    assert to_line("zwnj\u200cstays 👩\u200d👩") == "zwnj\u200cstays 👩\u200d👩"
    assert_plain(to_line(EVIL))


def test_tables_fit_a_console_that_knows_ascii_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="cp1252", errors="replace")
    monkeypatch.setattr("sys.stdout", stream)
    show_hits([Hit(Document("表", "漢字"), 1.0)])
    show_explanation(Explanation({"colbert": 1.0}, (), (Alignment("表", "▁表", 1, 1.0),)))
