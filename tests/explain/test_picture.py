"""The picture of an explanation, and of a hit: all of it, and every text as text."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from m3kit import Document, Hit, M3Output, Sparse
from m3kit._html import mark_tokens
from m3kit.explain import Explanation, explain, explanation_page

MARKUP = "<img src=x onerror=alert(1)> & \"quotes\" </style></p><script>alert('x')</script>"


class Page(HTMLParser):
    """The elements, attributes and texts of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.classes: list[str] = []
        self.attributes: set[str] = set()
        self.cells: list[list[str]] = []
        self.text = ""
        self.in_cell = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}
        self.classes += [value or "" for name, value in attrs if name == "class"]
        if tag == "tr":
            self.cells.append([])
        if tag in {"td", "th"}:
            self.cells[-1].append("")
            self.in_cell = True

    def handle_endtag(self, tag: str) -> None:
        if tag in {"td", "th"}:
            self.in_cell = False

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.in_cell:
            self.cells[-1][-1] += data


def explained(query: list[str], document: list[str], seed: int = 3) -> Explanation:
    """Explain random vectors of tokens whose ids are their places in a vocabulary."""
    vocabulary = sorted({*query, *document})
    draw = np.random.default_rng(seed)

    def output(tokens: list[str]) -> M3Output:
        rows = draw.standard_normal((len(tokens) + 1, 8), dtype=np.float32)
        weights = {4 + vocabulary.index(token): float(draw.uniform(0.1, 1)) for token in tokens}
        return M3Output(
            dense=rows[0] / np.linalg.norm(rows[0]),
            sparse=Sparse.from_dict(weights),
            colbert=rows / np.linalg.norm(rows, axis=1, keepdims=True),
        )

    def ids(tokens: list[str]) -> list[tuple[int, str]]:
        inner = [(4 + vocabulary.index(token), token) for token in tokens]
        return [(0, "<s>"), *inner, (2, "</s>")]

    return explain(output(query), output(document), ids(query), ids(document))


def page_of(explanation: Explanation, query: str, document: Document) -> Page:
    return Page(explanation_page(explanation, query=query, document=document, model="tiny@1"))


def test_the_heat_map_has_every_similarity_and_outlines_the_nearest() -> None:
    explanation = explained(["▁insert", "▁rows"], ["▁rows", "▁in", "▁tables"])
    page = page_of(explanation, "insert rows", Document("a", "Rows in tables"))
    assert explanation.similarity is not None
    header = next(row for row in page.cells if row[:2] == ["query", "nearest"])
    assert header[2:] == ["rows", "in", "tables", "</s>"]
    rows = page.cells[page.cells.index(header) + 1 :]
    assert [row[0] for row in rows] == ["insert", "rows", "</s>"]
    shown = [[int(cell) for cell in row[2:]] for row in rows]
    assert shown == np.round(100 * explanation.similarity.astype(np.float64)).astype(int).tolist()
    assert [float(row[1]) for row in rows] == pytest.approx(
        [row.similarity for row in explanation.alignment], abs=5e-4
    )
    assert sum("m3-best" in name for name in page.classes) == len(rows)


def test_scores_and_matches_are_there() -> None:
    explanation = explained(["▁insert", "▁rows"], ["▁rows", "▁in"])
    page = page_of(explanation, "insert rows", Document("a", "Rows in"))
    for rep, score in explanation.scores.items():
        assert [rep, "", f"{score:.3f}"] in page.cells
    (match,) = explanation.matches
    weights = [f"{n:.3f}" for n in (match.query_weight, match.document_weight, match.product)]
    assert ["rows", *weights, ""] in page.cells
    letters = [f"▁{letter}" for letter in "abcdefghijklm"]
    many = explained(letters, letters)
    rest = sum(match.product for match in many.matches[10:])
    assert f"3 more, together {rest:.3f}." in page_of(many, "", Document("a", "")).text
    none = page_of(explained(["▁a"], ["▁b"]), "a", Document("a", "b"))
    assert "No token is in both texts" in none.text


def test_a_page_needs_nothing_else_and_every_text_stays_text() -> None:
    explanation = explained(["<b>", "▁&amp;", MARKUP], [MARKUP, "</td>"])
    plain = page_of(explained(["▁a", "▁b", "▁c"], ["▁c", "▁d"]), "q", Document("a", "d"))
    page = page_of(explanation, f"q {MARKUP}", Document(MARKUP, f"d {MARKUP}"))
    assert set(page.tags) <= set(plain.tags) | {"mark"}
    assert page.attributes <= plain.attributes
    assert not page.attributes & {"src", "href", "style", "onerror"}
    assert not {"script", "img", "link", "iframe"} & set(page.tags)
    assert page.text.count(MARKUP) >= 4
    assert "url(" not in page.text


def test_a_long_document_shows_what_is_near_to_a_nearest_token() -> None:
    words = [f"▁w{n}" for n in range(3000)]
    explanation = explained(["▁a", "▁b"], words)
    html = explanation.to_html()
    page = Page(html)
    header = next(row for row in page.cells if row[:2] == ["query", "nearest"])
    assert len(header) < 40
    assert {row.document.removeprefix("▁") for row in explanation.alignment} <= set(header)
    hidden = 3001 - sum(cell != "…" for cell in header[2:])
    assert f"{hidden} tokens that are nearest to none are left out" in page.text
    assert all(len(row) == len(header) for row in page.cells[page.cells.index(header) :])


def test_notebooks_show_hits_and_explanations() -> None:
    hit = Hit(Document(MARKUP, MARKUP, {MARKUP: MARKUP, "n": 3}), 0.5, {"dense": 0.25})
    page = Page(hit._repr_html_())
    assert ["dense", "", "0.250"] in page.cells
    assert page.text.count(MARKUP) == 4
    assert not {"script", "img"} & set(page.tags)
    explanation = explained(["▁a"], ["▁a"])
    assert explanation.to_html() in explanation._repr_html_()
    assert "<style>" in explanation._repr_html_()


def test_matched_tokens_are_marked_in_the_text_as_it_was_written() -> None:
    tokens = [(4, "▁straße"), (5, "n"), (6, "▁ﬁnden"), (7, "<unk>"), (4, "▁straße")]
    parts = mark_tokens("Straßen: ﬁnden 🙂 STRASSE Straße", tokens, {4: 0.8, 6: 0.2})
    assert parts == [
        ("Straße", 4), ("n: ", 0), ("ﬁnden", 1), (" 🙂 STRASSE ", 0), ("Straße", 4),
    ]  # fmt: skip


@given(st.text(), st.lists(st.tuples(st.integers(0, 3), st.text(max_size=4))))
def test_the_parts_are_the_text(text: str, tokens: list[tuple[int, str]]) -> None:
    parts = mark_tokens(text, tokens, {1: 0.5, 2: 1.0})
    assert "".join(part for part, _ in parts) == text
    assert all(part for part, _ in parts)


def test_the_colours_of_a_heat_map_can_be_read() -> None:
    """Every step has a rule; the contrast itself is what the browser's tests check."""
    html = explained(["▁a"], ["▁a"])._repr_html_()
    steps = {int(n) for n in re.findall(r"\.m3-h(\d+) \{ --m3-heat", html)}
    assert steps == set(range(21))
