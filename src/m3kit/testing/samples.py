"""Documents, ids and values that indexes are tested with."""

from __future__ import annotations

from m3kit.records import Document

TEXTS = [
    "the dog is barking",
    "the cat is purring",
    "the bear is growling",
    "a growling bear ate the salmon",
    "dog and cat are friends",
    "tensor algebra on the gpu",
    "vector search with a sparse index",
    "the salmon swims against the stream",
    "über allen gipfeln ist ruh",
    "purring purring cat and bear",
    "",
]
DOCUMENTS = [
    Document(
        f"doc/{n} é",
        text,
        {"n": n, "lang": "de" if "ü" in text else "en", "even": n % 2 == 0, "tags": text.split()},
    )
    for n, text in enumerate(TEXTS)
]
NASTY_IDS = [
    "a",
    "A",
    "\uff21",
    "1",
    "01",
    "1.0",
    " 1",
    "a/b",
    "a%2Fb",
    "../../etc/passwd",
    'o\'neill "quoted" \\',
    "line\nbreak",
    "id:ns:type::x",
    "日本語",
    "🙂",
    "e\u0301",
    "\u00e9",
    "00000000-0000-0000-0000-000000000001",
    "x" * 500,
]
NASTY_VALUES = [
    "",
    " ",
    "'",
    '"',
    "\\",
    'a" or 1 == 1 or "',
    "x' OR '1'='1",
    "and not in like",
    "%_*?.[a-z]+",
    "{{x}} ${y} {0}",
    "line\nbreak\ttab",
    "naïve café",
    "e\u0301",
    "日本語",
    "🙂",
    "null",
    "true",
    "1",
    "A",
    "a",
]
NUMBERS: list[int | float] = [
    0, 1, 1.0, -1, 2, 0.5, -0.5, 1e-9, 1e300, 2**31, 2**53 - 1, 2**53, 2**53 + 1, 2.0**53,
    2**62 + 1, 2**63 - 1, -(2**53) - 1, -(2**63),
]  # fmt: skip
DATES = [
    "2024-03-01", "2024-03-01T00:00Z", "2024-02-29T23:30:00-01:00", "2024-03-01T00:30+01:00",
    "2024-03-01T09:30:00.000001", "2024-03-01 09:30", "1969-12-31T23:59:59.999999Z", "0001-01-01",
    "0001-01-01T00:00+23:59", "9999-12-31T23:59:59-23:59", "2024-03-01T24:00", "2024-02-30", "2024",
    "20240301", "",
]  # fmt: skip
"""ISO 8601 dates and times, some of one instant, and texts that only look like them."""
