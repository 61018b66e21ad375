from __future__ import annotations

from pathlib import Path

import pytest

from m3kit.cli.markdown import Section, sections
from m3kit.cli.reading import Reading
from m3kit.cli.sources import find_sources


def read(text: str) -> list[Section]:
    return list(sections(enumerate(text.splitlines(keepends=True), start=1)))


def test_a_section_is_a_heading_and_what_follows() -> None:
    text = "Before.\n\n# Guide\nIntro.\n\n## Install\n\npip\n\n### On Windows\nexe\n## Use\nit\n"
    assert read(text) == [
        Section(1, (), "", "Before."),
        Section(3, ("Guide",), "guide", "Guide\n\nIntro."),
        Section(6, ("Guide", "Install"), "install", "Install\n\npip"),
        Section(10, ("Guide", "Install", "On Windows"), "on-windows", "On Windows\n\nexe"),
        Section(12, ("Guide", "Use"), "use", "Use\n\nit"),
    ]


def test_an_underlined_line_is_a_heading() -> None:
    assert read("Guide\n=====\na\n\nPart\n---\nb\n") == [
        Section(1, ("Guide",), "guide", "Guide\n\na"),
        Section(5, ("Guide", "Part"), "part", "Part\n\nb"),
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


def test_a_heading_without_text_is_none_of_its_own_and_stays_above_others() -> None:
    (section,) = read("# Guide\n\n## Use\nit\n## Later\n")
    assert section.headings == ("Guide", "Use")


def test_two_headings_with_one_name_are_told_apart() -> None:
    text = "# A\nx\n# A\nx\n# A-1\nx\n# A\nx\n# ???\nx\n"
    assert [section.slug for section in read(text)] == ["a", "a-1", "a-1-1", "a-2", "section"]


def test_a_slug_is_the_one_that_github_links_to() -> None:
    text = "# What's `new` in [2.0](x.md)? **Öl** 表 ##\nx\n"
    (section,) = read(text)
    assert section.headings == ("What's new in 2.0? Öl 表",)
    assert section.slug == "whats-new-in-20-öl-表"


def test_snake_case_stays_whole() -> None:
    assert read("# my_own_name and _this_\nx\n")[0].headings == ("my_own_name and this",)


def test_front_matter_is_left_out() -> None:
    assert read("---\ntitle: x\n---\n# A\ntext\n") == [Section(4, ("A",), "a", "A\n\ntext")]
    assert [section.text for section in read("---\nnever closed\n")] == ["---\nnever closed"]


def test_a_document_says_where_it_stood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.md").write_text("top\n# Guide\n## Use\nit\n")
    top, use = Reading().documents(find_sources(["a.md"]))
    assert (top.id, top.metadata) == ("a.md", {"source": "a.md"})
    assert (use.id, use.text) == ("a.md#use", "Use\n\nit")
    assert use.metadata == {"source": "a.md", "title": "Use", "headings": ["Guide", "Use"]}
