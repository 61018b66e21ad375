"""Pieces of HTML that hits and explanations are drawn with."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from html import escape
from importlib.resources import files

from m3kit._html.marks import Part
from m3kit.vectors import REPS, Rep

_LONGEST = 600
"""Characters of a text that a card shows."""


def style_sheet(name: str) -> str:
    """Return a style sheet of this package."""
    return files("m3kit._html").joinpath(f"{name}.css").read_text(encoding="utf-8")


def explanation_style() -> str:
    """Return the style sheet of hits and explanations as an element."""
    return f"<style>{style_sheet('picture')}</style>"


def number(value: float) -> str:
    """Return a score with three digits."""
    return f"{value:.3f}"


def bar(value: float, highest: float = 1.0, *, kind: str = "score") -> str:
    """Return a bar whose length is the share of `value` in `highest`."""
    share = min(1.0, max(0.0, value / highest if highest > 0 else 0.0))
    return (
        '<svg class="m3-bar" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">'
        '<rect class="m3-track" width="100" height="8" rx="2"/>'
        f'<rect class="m3-{escape(kind)}" width="{100 * share:.1f}" height="8" rx="2"/></svg>'
    )


def marked(parts: Iterable[Part]) -> str:
    """Return a text whose matched tokens are marked by their level."""
    return "".join(
        f'<mark class="m3-w{level}">{escape(text)}</mark>' if level else escape(text)
        for text, level in parts
    )


def hit_card(
    *,
    id_: str,
    text: str,
    metadata: Mapping[str, object],
    score: float,
    scores: Mapping[Rep, float],
) -> str:
    """Return a hit as a card: its id, the beginning of its text, its scores, its metadata."""
    shown = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
    rows = "".join(
        f'<tr><th scope="row">{rep}</th><td>{bar(scores[rep], kind=rep)}</td>'
        f"<td>{number(scores[rep])}</td></tr>"
        for rep in REPS
        if rep in scores
    )
    fields = "".join(
        f"<dt>{escape(key)}</dt><dd>{escape(_value(value))}</dd>" for key, value in metadata.items()
    )
    return (
        f'{explanation_style()}<article class="m3 m3-card">'
        f'<p class="m3-head"><strong>{escape(id_)}</strong> <span>{number(score)}</span></p>'
        f'<p class="m3-text">{escape(shown)}</p>'
        + (f'<table class="m3-scores">{rows}</table>' if rows else "")
        + (f'<dl class="m3-fields">{fields}</dl>' if fields else "")
        + "</article>"
    )


def _value(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
