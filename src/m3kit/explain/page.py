"""An explanation as a page of its own."""

from __future__ import annotations

from html import escape

from m3kit._html import explanation_style
from m3kit.explain.explanation import Explanation
from m3kit.records import Document

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def explanation_page(
    explanation: Explanation, *, query: str, document: Document, model: str | None = None
) -> str:
    """
    Return an explanation as a page that needs nothing else: no script, no other file.

        Path("why.html").write_text(explanation_page(…), encoding="utf-8")

    Args:
        explanation: What `explain` returned for them.
        query: The query's text.
        document: The document.
        model: What encoded both, for the page's foot.
    """
    title = f"Why {escape(document.id)} answers “{escape(query)}”"
    foot = f"<footer>{escape(model)}</footer>" if model else ""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title>{explanation_style()}</head>"
        f'<body class="m3-page"><main class="m3"><h1>{escape(document.id)}</h1>'
        '<h2 class="m3-unseen">Why it is found</h2>'
        f"{explanation.to_html(query, document.text)}{foot}</main></body></html>\n"
    )
