"""Markdown as sections: a heading and the text below it, up to the next heading."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

_ATX = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*")
_UNDERLINE = re.compile(r" {0,3}(=+|-+)[ \t]*")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)")
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")


@dataclass(frozen=True, slots=True)
class Section:
    """
    A part of a Markdown file.

    Args:
        line: The number of its first line.
        headings: The headings above it, outermost first, and its heading last; none at the top of a
            file.
        slug: GitHub's anchor of its heading, unique in the file; empty at the top.
        text: Its heading and its lines.
    """

    line: int
    headings: tuple[str, ...]
    slug: str
    text: str


@dataclass(slots=True)
class _Part:
    """A section while it is read."""

    line: int
    level: int = 0
    heading: str = ""
    lines: list[str] = field(default_factory=list)

    def text(self) -> str:
        """Return heading and lines, or an empty string without lines."""
        body = "".join(self.lines).strip()
        return f"{self.heading}\n\n{body}" if body and self.heading else body


def sections(lines: Iterable[tuple[int, str]]) -> Iterator[Section]:
    """
    Yield the sections of numbered lines, without front matter and headings without text.

    Headings are those of CommonMark, both `## like this` and underlined, except that an underlined
    heading is a single line below a blank line or a heading; a paragraph of several lines stays
    text. Code blocks contain no headings.
    """
    above: dict[int, str] = {}
    slugs: set[str] = set()
    for part in _parts(lines):
        above = {level: heading for level, heading in above.items() if level < part.level}
        if part.level:
            above[part.level] = part.heading
        slug = _unique(_slug(part.heading), slugs) if part.level else ""
        if text := part.text():
            yield Section(part.line, tuple(above.values()), slug, text)


def _parts(lines: Iterable[tuple[int, str]]) -> Iterator[_Part]:
    part, fence = _Part(1), ""
    for number, line in _after_front_matter(lines):
        bare = line.rstrip("\r\n")
        fence, outside = _fenced(fence, bare)
        if outside and (atx := _ATX.fullmatch(bare)):
            yield part
            part = _Part(number, len(atx[1]), _plain_text(atx[2] or ""))
        elif outside and (under := _UNDERLINE.fullmatch(bare)) and _is_text(part.lines):
            heading = part.lines.pop()
            yield part
            part = _Part(number - 1, 1 if under[1][0] == "=" else 2, _plain_text(heading))
        else:
            part.lines.append(line)
    yield part


def _fenced(fence: str, line: str) -> tuple[str, bool]:
    """Return the code fence that is open after this line, and whether the line is outside."""
    match = _FENCE.fullmatch(line)
    if not fence:
        opens = match is not None and not (match[1][0] == "`" and "`" in match[2])
        return (match[1] if match and opens else ""), not opens
    closes = match is not None and match[1].startswith(fence) and not match[2].strip()
    return ("" if closes else fence), False


def _is_text(lines: list[str]) -> bool:
    """Tell whether an underline makes the last line a heading: a paragraph of a single line."""
    last = lines[-1] if lines else ""
    alone = len(lines) < 2 or not lines[-2].strip()
    return alone and bool(last.strip()) and not re.match(r"\s{4}|\s*([-*+>|]|\d+[.)]\s)", last)


def _after_front_matter(lines: Iterable[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """Skip what is between two lines of `---` at the very top."""
    skipped: list[tuple[int, str]] = []
    rest = iter(lines)
    for number, line in rest:
        skipped.append((number, line))
        if number == 1 and line.rstrip() != "---":
            break
        if number > 1 and line.rstrip() in {"---", "..."}:
            skipped = []
            break
    yield from skipped
    yield from rest


def _plain_text(heading: str) -> str:
    """Remove the markup of emphasis, code and links from a heading."""
    return re.sub(r"[*`]|(?<!\w)_+|_+(?!\w)", "", _LINK.sub(r"\1", heading)).strip()


def _slug(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") or "section"


def _unique(slug: str, taken: set[str]) -> str:
    number, unique = 0, slug
    while unique in taken:
        number += 1
        unique = f"{slug}-{number}"
    taken.add(unique)
    return unique
