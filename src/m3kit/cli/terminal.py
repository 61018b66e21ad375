"""Safe output of documents' texts to a terminal."""

from __future__ import annotations

import re
from unicodedata import category

_CONTROLS = {"Cc", "Cs", "Zl", "Zp"}
_BIDI_CONTROLS = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def to_line(text: str) -> str:
    """
    Return the text on a single line, without control characters and escape sequences.

    Control characters become spaces, bidirectional controls are removed, and runs of white space
    become one space.
    """
    safe = (" " if category(char) in _CONTROLS else char for char in _BIDI_CONTROLS.sub("", text))
    return " ".join("".join(safe).split())
