"""The playground in headless Chromium: Debian's, driven by Playwright."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from axe_playwright_python.sync_playwright import Axe
from benchmarks.chromium import MISSING, chromium_path
from benchmarks.chromium import chromium as run_chromium
from playwright.sync_api import Browser, Page, expect
from tests.server.conftest import serving

from m3kit import Document, MemoryIndex, Retriever
from m3kit.server import Playground, create_app
from m3kit.torch import TorchEncoder

Open: TypeAlias = Callable[..., Page]

MARKUP = "<img src=x onerror=\"document.title='broken'\"><script>alert(1)</script> & </p>"

TEXTS = {
    "dialog.en": "Open a dialog with Python: a macro shows a window with buttons.",
    "dialog.de": "Einen Dialog mit Python öffnen: ein Makro zeigt ein Fenster.",
    "rows.en": "Insert rows and columns into a table of the text document.",
    "rows.de": "Zeilen und Spalten in eine Tabelle des Dokuments einfügen.",
    "rows.zh": "在文本文档的表格中插入行和列。",
    "freeze.en": "Freeze rows so that the header of a table stays visible.",
    "print.en": "Print several pages on one sheet of paper.",
    "print.de": "Mehrere Seiten auf ein Blatt Papier drucken.",
    "colour.en": "Change the colour of the background of a cell.",
    "colour.ru": "Изменение цвета фона ячейки.",
    "sort.en": "Sort the rows of a table by the values of a column.",
    "merge.en": "Merge the cells of a table into one.",
    "split.en": "Split the cells of a table.",
}

TIES = ("same-\U0001f4c4", "same-\uff21", "same-b", "same-a", "same-\ue000")
"""Ids of one text: Python and JavaScript order some of them differently."""

MARKED = "markup"

CANDIDATES = 15
"""What each branch brings, fewer than there are documents."""


def documents() -> list[Document]:
    """Return documents with fields of every kind."""
    listed = [
        Document(
            id_,
            text,
            {
                "title": text.partition(" ")[2],
                "lang": id_[-2:],
                "page": n,
                "written": f"2024-03-{n + 1:02}",
                "tags": ["table"] if "table" in text.lower() else ["other"],
                "loc": {"draft": n % 2 == 0},
            },
        )
        for n, (id_, text) in enumerate(TEXTS.items())
    ]
    ties = [Document(id_, "Rows of a table are hidden.", {"lang": "en"}) for id_ in TIES]
    long = Document("long", "A row. " * 300 + "Insert rows into a table.", {"lang": "en"})
    marked = Document(MARKED, f"Insert rows {MARKUP}", {"title": MARKUP, "lang": MARKUP})
    return [*listed, *ties, long, marked]


@pytest.fixture(scope="session")
def encoder() -> TorchEncoder:
    return TorchEncoder.from_pretrained("tiny")


@pytest.fixture(scope="session")
def index(encoder: TorchEncoder) -> MemoryIndex:
    index = MemoryIndex(encoder=encoder)
    Retriever(encoder, index).add(documents())
    return index


@pytest.fixture(scope="session")
def judgements(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("playground") / "judgements"


@pytest.fixture(scope="session")
def url(encoder: TorchEncoder, index: MemoryIndex, judgements: Path) -> Iterator[str]:
    playground = Playground(address="sample", judgements=judgements, candidates=CANDIDATES)
    with serving(create_app(encoder, index=index, playground=playground)) as address:
        yield address


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    path = chromium_path()
    if path is None:
        pytest.skip(MISSING)
    with run_chromium(path) as browser:
        yield browser


@pytest.fixture
def open_page(chromium: Browser, url: str) -> Iterator[Open]:
    """Open the playground; at the end nothing may stand on the console, nor come from elsewhere."""
    messages: list[str] = []
    requests: list[str] = []
    pages: list[Page] = []

    def start(
        address: str = url, *, width: int = 1280, scheme: Any = "light", expected: str = ""
    ) -> Page:
        page = chromium.new_page(
            viewport={"width": width, "height": 900},
            color_scheme=scheme,
            reduced_motion="reduce",
            accept_downloads=True,
        )
        page.on(
            "console",
            lambda message: (
                None if expected and expected in message.text else messages.append(message.text)
            ),
        )
        page.on("pageerror", lambda error: messages.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.on("dialog", lambda dialog: messages.append(f"dialog: {dialog.message}"))
        pages.append(page)
        page.goto(f"{address}/playground")
        return page

    yield start
    for page in pages:
        page.close()
    assert messages == []
    assert all(request.startswith(("http://127.0.0.1:", "blob:")) for request in requests)


def search(page: Page, query: str) -> None:
    """Type a query, and wait for its ranking."""
    page.fill("#query", query)
    with page.expect_response("**/playground/search"):
        page.press("#query", "Enter")
    expect(page.locator("#ranking")).not_to_have_attribute("aria-busy", "true")


def ids(page: Page, ranking: str = "sum") -> list[str]:
    """Return the ids of a ranking on the page, best first."""
    listed: list[str] = page.eval_on_selector_all(
        f'[data-ranking="{ranking}"] > [data-id]', "items => items.map(item => item.dataset.id)"
    )
    return listed


def violations(page: Page) -> list[str]:
    """Return what axe-core finds on a page as it is now."""
    results = Axe().run(page)
    return [
        f"{violation['id']}: {node['html'][:200]} {node['failureSummary']}"
        for violation in results.response["violations"]
        for node in violation["nodes"]
    ]
