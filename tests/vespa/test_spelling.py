"""Texts in the characters that Vespa takes."""

from __future__ import annotations

import json
import re

from hypothesis import example, given, settings
from hypothesis import strategies as st

from m3kit_vespa.spelling import quoted, spelled, unspelled

ODD = "aA\x00\x01\ue000\ue001\ue005\ue010\ufffe\ufdd0\n\U0001ffff日"


@settings(max_examples=300)
@given(st.text(ODD, max_size=6), st.text(ODD, max_size=2))
@example("\ue000\ue001", "\ue001")
def test_a_part_of_a_text_is_a_part_of_its_spelling(text: str, part: str) -> None:
    assert unspelled(spelled(text)) == text
    assert (spelled(part) in spelled(text)) is (part in text)
    assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\ufdd0-\ufdef\ufffe\uffff]", spelled(text))


def test_an_ordinary_text_is_its_own_spelling() -> None:
    for text in ("Über allen Gipfeln", "a\tb\nc", 'o\'neill "quoted" \\', "🙂"):
        assert spelled(text) == text
        assert json.loads(quoted(text)) == text
