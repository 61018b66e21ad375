"""Texts from documents are data: what of them may reach a terminal."""

from __future__ import annotations

import re
from unicodedata import category

_UNSEEN = {"Cc", "Cs", "Zl", "Zp"}
_REORDERING = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def plain(text: str) -> str:
    """
    Make one line of a text, without anything that would steer a terminal.

    Control characters (so every escape sequence loses its escape) become spaces, and those that
    reorder what is around them go. Runs of white space become one space.
    """
    seen = (" " if category(char) in _UNSEEN else char for char in _REORDERING.sub("", text))
    return " ".join("".join(seen).split())
