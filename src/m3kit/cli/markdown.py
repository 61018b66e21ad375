"""Markdown as sections: a heading, and what stands between it and the next one."""

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
        line: Where it begins.
        headings: The headings above it, the outermost first, its own last; none at a file's top.
        slug: The anchor that GitHub gives its heading, unique in the file; empty at the top.
        text: Its own heading and its lines.
    """

    line: int
    headings: tuple[str, ...]
    slug: str
    text: str


@dataclass(slots=True)
class _Part:
    """A section that is being read."""

    line: int
    level: int = 0
    heading: str = ""
    lines: list[str] = field(default_factory=list)

    def text(self) -> str:
        """Return heading and lines, or nothing where there are no lines."""
        body = "".join(self.lines).strip()
        return f"{self.heading}\n\n{body}" if body and self.heading else body


def sections(lines: Iterable[tuple[int, str]]) -> Iterator[Section]:
    """
    Yield the sections of numbered lines, leaving out front matter and headings without text.

    Headings are those of CommonMark, both `## so` and underlined, but for one thing: an underlined
    one is a single line, below a blank line or a heading; a paragraph of several lines stays text.
    In code blocks there are none.
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
            part = _Part(number, len(atx[1]), _shown(atx[2] or ""))
        elif outside and (under := _UNDERLINE.fullmatch(bare)) and _is_text(part.lines):
            heading = part.lines.pop()
            yield part
            part = _Part(number - 1, 1 if under[1][0] == "=" else 2, _shown(heading))
        else:
            part.lines.append(line)
    yield part


def _fenced(fence: str, line: str) -> tuple[str, bool]:
    """Return the code fence that is open after this line, and whether the line is outside."""
    found = _FENCE.fullmatch(line)
    if not fence:
        opens = found is not None and not (found[1][0] == "`" and "`" in found[2])
        return (found[1] if found and opens else ""), not opens
    closes = found is not None and found[1].startswith(fence) and not found[2].strip()
    return ("" if closes else fence), False


def _is_text(lines: list[str]) -> bool:
    """Tell whether an underline makes the last line a heading: one line of plain paragraph."""
    last = lines[-1] if lines else ""
    alone = len(lines) < 2 or not lines[-2].strip()
    return alone and bool(last.strip()) and not re.match(r"\s{4}|\s*([-*+>|]|\d+[.)]\s)", last)


def _after_front_matter(lines: Iterable[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """Leave out what stands between two lines of `---` at the very top."""
    held: list[tuple[int, str]] = []
    rest = iter(lines)
    for number, line in rest:
        held.append((number, line))
        if number == 1 and line.rstrip() != "---":
            break
        if number > 1 and line.rstrip() in {"---", "..."}:
            held = []
            break
    yield from held
    yield from rest


def _shown(heading: str) -> str:
    """Take the marks of emphasis, code and links from a heading."""
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
