from __future__ import annotations

import pytest

from m3kit.ingest.markdown import Section, outline, sections


def read(text: str) -> list[Section]:
    return list(sections(enumerate(text.splitlines(keepends=True), start=1)))


def test_a_section_is_a_heading_and_what_follows() -> None:
    text = "Before.\n\n# Guide\nIntro.\n\n## Install\n\npip\n\n### On Windows\nexe\n## Use\nit\n"
    assert read(text) == [
        Section(1, (), "Before."),
        Section(3, ("Guide",), "Guide\n\nIntro."),
        Section(6, ("Guide", "Install"), "Install\n\npip"),
        Section(10, ("Guide", "Install", "On Windows"), "On Windows\n\nexe"),
        Section(12, ("Guide", "Use"), "Use\n\nit"),
    ]


def test_an_underlined_line_is_a_heading() -> None:
    assert read("Guide\n=====\na\n\nPart\n---\nb\n") == [
        Section(1, ("Guide",), "Guide\n\na"),
        Section(5, ("Guide", "Part"), "Part\n\nb"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "```\n# no\n```\n",
        "~~~ py\n# no\n```\n# no\n~~~~\n",
        "````\n```\n# no\n````\n",
        "    # no\n",
        "#no\n",
        "####### no\n",
        "a\n\n---\n\nb\n",
        "- item\n---\n",
        "| a |\n---\n",
        "two\nlines\n---\n",
    ],
)
def test_what_only_looks_like_a_heading_is_text(text: str) -> None:
    assert [section.headings for section in read(text)] == [()]


def test_a_heading_without_text_makes_no_section_and_stays_above_others() -> None:
    text = "# Guide\n\n## Use\nit\n## Later\n"
    assert [section.headings for section in read(text)] == [("Guide", "Use")]
    assert list(outline(enumerate(text.splitlines(), start=1))) == [
        (1, ("Guide",)),
        (3, ("Guide", "Use")),
        (5, ("Guide", "Later")),
    ]


def test_a_heading_is_plain_text() -> None:
    (section,) = read("# What's `new` in [2.0](x.md)? **Öl** 表 ##\nx\n")
    assert section.headings == ("What's new in 2.0? Öl 表",)
    assert read("# my_own_name and _this_\nx\n")[0].headings == ("my_own_name and this",)
