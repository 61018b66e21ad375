"""Pictures of hits and explanations as HTML without scripts; every text in it is escaped."""

from m3kit._html.cards import bar, explanation_style, hit_card, marked, number, style_sheet
from m3kit._html.marks import Part, mark_tokens

__all__ = [
    "Part",
    "bar",
    "explanation_style",
    "hit_card",
    "mark_tokens",
    "marked",
    "number",
    "style_sheet",
]
