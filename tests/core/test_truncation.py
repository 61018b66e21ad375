from __future__ import annotations

import pytest

from m3kit._truncation import Truncation, aggregate_warnings, report


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def cut(texts: int, many: int, longest: int = 900) -> Truncation:
    return Truncation(texts, many, longest, limit=512, remedy="split them")


def test_a_call_says_what_it_cut_and_nothing_if_it_cut_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    report(cut(3, 0))
    assert warnings_of(caplog) == []
    report(cut(3, 1, 9812))
    assert warnings_of(caplog) == [
        "1 of 3 texts were longer than 512 tokens and were cut (the longest has 9,812); split them"
    ]


def test_several_calls_are_said_once_with_all_their_texts(caplog: pytest.LogCaptureFixture) -> None:
    with aggregate_warnings():
        report(cut(128, 2, 600))
        with aggregate_warnings():
            report(cut(128, 0, 100))
        report(cut(10, 1, 2000))
        assert warnings_of(caplog) == []
    (line,) = warnings_of(caplog)
    assert line.startswith("3 of 266 texts were longer than 512 tokens")
    assert "the longest has 2,000" in line


def test_what_was_cut_is_said_even_if_the_call_fails(caplog: pytest.LogCaptureFixture) -> None:
    def interrupted() -> None:
        with aggregate_warnings():
            report(cut(5, 5))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert len(warnings_of(caplog)) == 1
