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
        text: Its heading and its lines.
    """

    line: int
    headings: tuple[str, ...]
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
    Yield the sections of numbered lines, without headings that have no text.

    Headings are those of CommonMark, both `## like this` and underlined, except that an underlined
    heading is a single line below a blank line or a heading; a paragraph of several lines stays
    text. Code blocks contain no headings.
    """
    for part, headings in _with_headings(lines):
        if text := part.text():
            yield Section(part.line, headings, text)


def outline(lines: Iterable[tuple[int, str]]) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Yield the line of each heading with the headings above it and itself, outermost first."""
    for part, headings in _with_headings(lines):
        if part.level:
            yield part.line, headings


def _with_headings(
    lines: Iterable[tuple[int, str]],
) -> Iterator[tuple[_Part, tuple[str, ...]]]:
    above: dict[int, str] = {}
    for part in _parts(lines):
        above = {level: heading for level, heading in above.items() if level < part.level}
        if part.level:
            above[part.level] = part.heading
        yield part, tuple(above.values())


def _parts(lines: Iterable[tuple[int, str]]) -> Iterator[_Part]:
    part, fence = _Part(0), ""
    for number, line in lines:
        part.line = part.line or number
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


def _plain_text(heading: str) -> str:
    """Remove the markup of emphasis, code and links from a heading."""
    return re.sub(r"[*`]|(?<!\w)_+|_+(?!\w)", "", _LINK.sub(r"\1", heading)).strip()
