"""
Texts in the characters that Vespa takes, and names made from texts.

Vespa refuses some characters, most of them controls. They are spelled in others, of the private use
area, and so are those others: what is part of a text is part of its spelling, and nothing else is.
Any other text is its own spelling.
"""

from __future__ import annotations

import json
import re
from hashlib import blake2b

_MARK = "\ue000"
_DIGITS = "".join(map(chr, range(0xE001, 0xE011)))
_REFUSED = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\ufdd0-\ufdef\ue000-\ue010"
    + "".join(chr((plane << 16) + end) for plane in range(17) for end in (0xFFFE, 0xFFFF))
    + "]"
)
_SPELLED = re.compile(f"{_MARK}([{_DIGITS}]{{6}})")


def spelled(text: str) -> str:
    """Write a text in characters that Vespa takes."""
    return _REFUSED.sub(_spelling, text)


def unspelled(text: str) -> str:
    """Read what `spelled` wrote."""
    return _SPELLED.sub(_character, text)


def quoted(text: str) -> str:
    """Write a text as a YQL literal, whose escapes are those of JSON."""
    return json.dumps(spelled(text))


def digest(text: str) -> str:
    """Name a text by 32 hexadecimal digits."""
    return blake2b(text.encode(), digest_size=16).hexdigest()


def _spelling(match: re.Match[str]) -> str:
    return _MARK + "".join(_DIGITS[int(digit, 16)] for digit in f"{ord(match[0]):06x}")


def _character(match: re.Match[str]) -> str:
    return chr(int("".join(f"{_DIGITS.index(digit):x}" for digit in match[1]), 16))
