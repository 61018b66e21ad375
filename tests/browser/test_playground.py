"""What a reader does with the playground, and what the page shows."""

from __future__ import annotations

import json
import random
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from tests.browser.conftest import (
    CANDIDATES,
    MARKED,
    MARKUP,
    TIES,
    Open,
    documents,
    ids,
    search,
    violations,
)
from tests.server.conftest import serving
from typer.testing import CliRunner

from m3kit import Eq, Hit, MemoryIndex, Retriever, WeightedSum
from m3kit.cli.app import app
from m3kit.filters import Contains, Filter, In, Range, Substring
from m3kit.server import Playground, create_app
from m3kit.torch import TorchEncoder
from m3kit.vectors import REPS

pytestmark = pytest.mark.browser

QUERY = "insert rows into a table"

POSITIONS = """
positions => positions.map(weights => {
  for (const [rep, value] of Object.entries(weights)) {
    const slider = document.querySelector(`#weight-${rep}`);
    slider.value = value;
    slider.dispatchEvent(new Event("input", { bubbles: true }));
  }
  return [...document.querySelectorAll('[data-ranking="sum"] > .card')].map(card => [
    card.dataset.id, card.querySelector(".score").textContent,
  ]);
})
"""

SCORES = """
async ([query, positions]) => {
  const { rankings } = await import("/playground/ranking.js");
  const { search } = await import("/playground/api.js");
  const { hits } = await search(query, null);
  return positions.map(weights => rankings(hits, weights, Object.keys(weights)).columns.sum)
    .map(ranking => ranking.map(({ hit, score }) => [hit.id, score]));
}
"""


@pytest.fixture(scope="session")
def retriever(encoder: TorchEncoder, index: MemoryIndex) -> Retriever:
    return Retriever(encoder, index)


def oracle(retriever: Retriever, weights: dict[str, float], k: int = 10) -> list[Hit]:
    return retriever.search(QUERY, k=k, candidates=CANDIDATES, fusion=WeightedSum(**weights))


def union(retriever: Retriever) -> list[Hit]:
    """Return all that the two branches bring, scored on everything, by the index's own searches."""
    ids = {
        hit.document.id
        for rep in ("dense", "sparse")
        for hit in retriever.search(QUERY, k=CANDIDATES, reps=[rep])
    }
    hits = retriever.search(QUERY, k=1000, with_scores=True)
    return [hit for hit in hits if hit.document.id in ids]


def positions(count: int = 100) -> list[dict[str, float]]:
    """Draw places of the three sliders, on their grid; the first few are the corners."""
    draw = random.Random(7)  # noqa: S311  # reproducible
    names = [str(rep) for rep in REPS]
    corners = [dict.fromkeys(names, 0.0) | {name: 1.0} for name in names]
    drawn = [{name: draw.randrange(41) * 5 / 100 for name in names} for _ in range(count - 3)]
    return corners + [place for place in drawn if any(place.values())]


def test_a_search_shows_four_rankings(open_page: Open, retriever: Retriever) -> None:
    page = open_page()
    expect(page.locator("#facts")).to_contain_text("sample")
    search(page, QUERY)
    assert ids(page) == [hit.document.id for hit in oracle(retriever, {})]
    expect(page.locator("#status")).to_contain_text("ranked by Dense 1, Sparse 0.3, ColBERT 1")
    scored = union(retriever)
    for rep in REPS:
        by_rep = sorted(scored, key=lambda hit: (-hit.scores[rep], hit.document.id))
        expected = [hit.document.id for hit in by_rep if rep != "sparse" or hit.scores[rep]]
        assert ids(page, rep) == expected[:10]
    first = ids(page, "dense")[0]
    change = page.locator(f'[data-ranking="dense"] [data-id="{first}"] .change')
    assert change.inner_text()
    lines = page.locator(".lines path")
    pairs = [(ids(page, a), ids(page, b)) for a, b in zip(("sum", *REPS), REPS, strict=False)]
    assert lines.count() == sum(len(set(left) & set(right)) for left, right in pairs)
    page.hover(f'[data-ranking="dense"] [data-id="{first}"]')
    assert page.locator(f'.is-active[data-id="{first}"]').count() >= 2


def test_a_hundred_places_of_the_sliders_rank_as_the_oracle(
    open_page: Open, retriever: Retriever
) -> None:
    page = open_page()
    search(page, QUERY)
    page.click("#more")
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url))
    places = positions()
    assert len(places) == 100
    shown = page.evaluate(POSITIONS, places)
    assert sent == []  # nothing is asked of the server
    for place, cards in zip(places, shown, strict=True):
        hits = oracle(retriever, place, k=CANDIDATES)
        expected = [[hit.document.id, f"{hit.score:.3f}"] for hit in hits]
        assert cards[:CANDIDATES] == expected, place
    ties = {tuple(id_ for id_, _ in cards if id_ in TIES) for cards in shown}
    assert tuple(sorted(TIES)) in ties


def test_the_page_computes_the_last_bit_of_a_score(open_page: Open, retriever: Retriever) -> None:
    places = positions()
    ranked = open_page().evaluate(SCORES, [QUERY, places])
    for place, ranking in zip(places, ranked, strict=True):
        hits = oracle(retriever, place, k=CANDIDATES)
        expected = [[hit.document.id, hit.score] for hit in hits]
        assert ranking[:CANDIDATES] == expected, place


def test_weights_are_kept_in_a_file_that_the_retriever_reads(
    open_page: Open, retriever: Retriever, tmp_path: Path
) -> None:
    page = open_page()
    search(page, QUERY)
    page.focus("#weight-sparse")
    for _ in range(8):
        page.keyboard.press("ArrowRight")
    expect(page.locator("#status")).to_contain_text("Sparse 0.7")
    with page.expect_download() as download:
        page.click("#save")
    assert download.value.suggested_filename == "weights.json"
    path = tmp_path / "weights.json"
    download.value.save_as(path)
    fusion = WeightedSum.load(path)
    assert fusion == WeightedSum(1, 0.7, 1)
    saved = Retriever(retriever.encoder, retriever.index, fusion=fusion)
    hits = saved.search(QUERY, candidates=CANDIDATES)
    assert ids(page) == [hit.document.id for hit in hits]
    page.click("#reset")
    assert ids(page) == [hit.document.id for hit in oracle(retriever, {})]


def test_no_weight_at_all_is_said(open_page: Open) -> None:
    page = open_page()
    search(page, QUERY)
    page.evaluate(POSITIONS, [dict.fromkeys(REPS, 0)])
    expect(page.locator("#status")).to_have_text("Every weight is 0: raise one to rank.")
    assert len(ids(page)) == 10


def test_the_heat_map_is_the_explanations(open_page: Open, encoder: TorchEncoder) -> None:
    page = open_page()
    search(page, QUERY)
    page.locator('.card[data-id="rows.en"] .title').click()
    heat = page.locator(".m3-heat")
    expect(heat).to_be_visible()
    query = encoder.encode_queries([QUERY])[0].colbert
    document = encoder.encode_documents(
        ["Insert rows and columns into a table of the text document."]
    )[0].colbert
    assert query is not None
    assert document is not None
    similarity = query @ document.T
    cells = heat.locator("tbody tr").evaluate_all(
        "rows => rows.map(row => [...row.cells].slice(2).map(cell => Number(cell.textContent)))"
    )
    assert len(cells) == len(query)
    for row, expected in zip(cells, similarity, strict=True):
        assert row == pytest.approx((100 * expected).tolist(), abs=0.51)
    nearest = heat.locator("tbody tr").evaluate_all(
        "rows => rows.map(row => [...row.cells].findIndex(c => c.matches('.m3-best')) - 2)"
    )
    assert nearest == similarity.argmax(axis=1).tolist()
    expect(page.locator(".m3-matches")).to_contain_text("rows")
    page.keyboard.press("Escape")
    expect(page.locator("#why")).to_be_hidden()


FILTERS: list[tuple[str, str, Filter]] = [
    ("lang", "de", In("lang", ("de",))),
    ("tags", "table", Contains("tags", "table")),
    ("loc.draft", "true", Eq(("loc", "draft"), True)),  # noqa: FBT003  # a value
]


@pytest.mark.parametrize(("field", "choice", "where"), FILTERS)
def test_a_filter_offers_the_values_of_a_field(
    open_page: Open, retriever: Retriever, field: str, choice: str, where: Filter
) -> None:
    page = open_page()
    search(page, QUERY)
    chip = page.locator(".filter", has=page.locator(f"summary:has-text('{field}')"))
    chip.locator("summary").click()
    with page.expect_response("**/playground/search"):
        chip.locator("label", has_text=choice).locator("input").check()
    expect(chip.locator("summary")).to_contain_text(choice)
    expected = retriever.search(QUERY, where=where, candidates=CANDIDATES)
    expect(page.locator(".card")).to_have_count(len(expected))
    assert ids(page) == [hit.document.id for hit in expected]


def test_filters_of_numbers_dates_and_text_are_joined(
    open_page: Open, retriever: Retriever
) -> None:
    page = open_page()
    search(page, QUERY)

    def fill(label: str, value: str) -> None:
        page.locator("summary", has_text=label.split(maxsplit=1)[0]).click()
        with page.expect_response("**/playground/search"):
            page.get_by_label(label).fill(value)
            page.get_by_label(label).press("Tab")

    fill("page from", "2")
    fill("written to", "2024-03-11")
    fill("title contains", "table")
    where = Range("page", ge=2) & Range("written", lt="2024-03-12") & Substring("title", "table")
    expected = retriever.search(QUERY, where=where, candidates=CANDIDATES)
    expect(page.locator(".card")).to_have_count(len(expected))
    assert ids(page) == [hit.document.id for hit in expected]
    assert 0 < len(expected) < 10


def test_an_empty_result_says_so_and_filters_can_be_cleared(open_page: Open) -> None:
    page = open_page()
    search(page, QUERY)
    full = ids(page)
    page.locator("summary", has_text="page").click()
    with page.expect_response("**/playground/search"):
        page.get_by_label("page from").fill("500")
        page.get_by_label("page from").press("Tab")
    expect(page.locator("#status")).to_contain_text("No document passes these filters.")
    expect(page.locator("#ranking")).to_be_hidden()
    with page.expect_response("**/playground/search"):
        page.get_by_role("button", name="Clear filters").click()
    expect(page.locator("#ranking")).to_be_visible()
    assert ids(page) == full


class Failing(MemoryIndex):
    """An index whose server can go away."""

    gone = False

    def search(self, search: Any, /) -> list[Hit]:
        if self.gone:
            raise ConnectionError("cannot connect to db.internal:6333")
        return super().search(search)


def test_an_index_that_does_not_answer(open_page: Open, encoder: TorchEncoder) -> None:
    index = Failing(encoder=encoder)
    Retriever(encoder, index).add(documents()[:3])
    app = create_app(encoder, index=index, playground=Playground())
    with serving(app) as address:
        page = open_page(address, expected="502")
        index.gone = True
        search(page, QUERY)
        problem = page.get_by_role("alert").filter(has_text="does not answer")
        expect(problem).to_contain_text("the index does not answer (ConnectionError)")
        assert "db.internal" not in page.content()
        index.gone = False
        with page.expect_response("**/playground/search"):
            problem.get_by_role("button", name="Try again").click()
        expect(page.locator("#problem")).to_be_hidden()
        expect(page.locator(".card")).to_have_count(3)


def test_a_server_that_has_ended(open_page: Open, encoder: TorchEncoder) -> None:
    empty = MemoryIndex(encoder=encoder)
    with serving(create_app(encoder, index=empty, playground=Playground())) as address:
        page = open_page(address, expected="ERR_CONNECTION_REFUSED")
        expect(page.locator("#facts")).to_contain_text("0 documents")
    page.fill("#query", QUERY)
    page.press("#query", "Enter")
    expect(page.get_by_role("alert").first).to_contain_text("m3kit does not answer")


def test_markup_stays_text(open_page: Open) -> None:
    page = open_page()
    search(page, f"insert rows {MARKUP}")
    card = page.locator(f'.card[data-id="{MARKED}"]')
    expect(card.locator(".title")).to_have_text(MARKUP)
    expect(card.locator(".passage")).to_contain_text(MARKUP)
    card.locator(".title").click()
    expect(page.locator("#why .m3-texts")).to_contain_text(f"Insert rows {MARKUP}")
    expect(page.locator("#why .m3-texts")).to_contain_text(f"insert rows {MARKUP}")
    assert page.locator("img:not(.brand img), main script, dialog script").count() == 0
    assert page.title() != "broken"


def test_judgements_go_round_by_way_of_evaluate(
    open_page: Open, judgements: Path, retriever: Retriever, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = open_page()
    search(page, QUERY)
    wrong, other, *_ = [id_ for id_ in ids(page) if id_ != "rows.de"]
    judged = (("rows.de", "up"), (wrong, "down"), (other, "up"))
    for id_, name in judged:
        with page.expect_response("**/playground/judge"):
            page.locator(f'.card[data-id="{id_}"] .thumb.{name}').click()
    with page.expect_response("**/playground/judge"):  # a second click takes it back
        page.locator(f'.card[data-id="{other}"] .thumb.up').click()
    expect(page.locator("#saved")).to_contain_text("2 judgements of this query in")
    lines = (judgements / "qrels.trec").read_text("utf-8").splitlines()
    assert lines == ["1 0 rows.de 1", f"1 0 {wrong} 0"]
    page.reload()
    search(page, QUERY)
    for id_, name in judged[:2]:
        thumb = page.locator(f'.card[data-id="{id_}"] .thumb.{name}')
        expect(thumb).to_have_attribute("aria-pressed", "true")

    monkeypatch.setattr("m3kit.cli.evaluate.open_existing", lambda _: nullcontext(retriever.index))
    command = ["evaluate", str(judgements), "--index", "sample", "--model", "tiny", "--json"]
    result = CliRunner().invoke(app, [*command, "--modes", "all", "--measures", "RR"])
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    place = ids(page).index("rows.de") + 1
    assert report["rows"][0]["measures"] == {"RR": pytest.approx(1 / place)}
    assert (report["documents"], report["queries"]) == (retriever.index.count(), 1)


def test_it_is_used_by_keys_alone(open_page: Open, judgements: Path) -> None:
    page = open_page()
    page.keyboard.press("Control+k")
    page.keyboard.type("freeze the header")
    with page.expect_response("**/playground/search"):
        page.keyboard.press("Enter")
    expect(page.locator(".card").first).to_be_visible()
    page.locator(".card .title").first.focus()
    page.keyboard.press("ArrowDown")
    second = ids(page)[1]
    focused = "document.activeElement.closest('[data-id]').dataset.id"
    assert page.evaluate(focused) == second
    with page.expect_response("**/playground/judge"):
        page.keyboard.press("+")
    assert f"0 {second} 1" in (judgements / "qrels.trec").read_text("utf-8")
    page.keyboard.press("Enter")
    expect(page.locator(".m3-heat")).to_be_visible()
    page.keyboard.press("Escape")
    assert page.evaluate(focused) == second


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_axe_finds_nothing(open_page: Open, scheme: str, width: int) -> None:
    page = open_page(width=width, scheme=scheme)
    assert violations(page) == []
    search(page, QUERY)
    page.locator(".filter summary").first.click()
    assert violations(page) == []
    page.keyboard.press("Escape")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.locator('.card[data-id="rows.en"] .title').click()
    expect(page.locator(".m3-heat")).to_be_visible()
    assert violations(page) == []


def test_a_phone_shows_each_ranking_in_turn(open_page: Open, retriever: Retriever) -> None:
    page = open_page(width=360)
    search(page, QUERY)
    expect(page.locator(".column.dense")).to_be_hidden()
    chips = page.locator(".card").first.locator(".chips")
    expect(chips).to_contain_text("Dense")
    page.locator(".views input[value=sparse]").check(force=True)
    hits = retriever.search(QUERY, reps=["sparse"], candidates=CANDIDATES)
    assert ids(page) == [hit.document.id for hit in hits]


def test_an_explanation_page_is_accessible_and_runs_nothing(
    chromium: Any, tmp_path: Path, index: MemoryIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("m3kit.cli.app.open_existing", lambda _: nullcontext(index))
    path = tmp_path / "why.html"
    command = ["explain", f"insert rows {MARKUP}", "--in", "sample", "--id", MARKED]
    result = CliRunner().invoke(app, [*command, "--html", str(path), "--model", "tiny"])
    assert result.exit_code == 0, result.output
    messages: list[str] = []
    for scheme in ("light", "dark"):
        page: Page = chromium.new_page(color_scheme=scheme)
        page.on("console", lambda message: messages.append(message.text))
        page.goto(path.as_uri())
        expect(page.locator(".m3-heat")).to_be_visible()
        expect(page.locator(".m3-texts")).to_contain_text(MARKUP)
        assert violations(page) == []
        assert messages == []
        page.close()


def test_the_page_is_small_and_strict(open_page: Open) -> None:
    page = open_page()
    sizes: list[int] = []
    page.on("response", lambda response: sizes.append(len(response.body())))
    with page.expect_response("**/playground/about"):
        page.reload()
    search(page, QUERY)
    assert sum(sizes) < 300_000
    policy = page.request.get(page.url).headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
