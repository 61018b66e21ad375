"""The playground's endpoints; `tests/browser` has the page itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.server.conftest import DOCUMENTS, Letters, Serve, serving
from typer.testing import CliRunner

from m3kit import MemoryIndex, RepresentationError, Retriever, Search, WeightedSum
from m3kit.cli.app import app
from m3kit.cli.exit_codes import Code
from m3kit.filter_json import filter_to_json
from m3kit.filters import Eq
from m3kit.server import Playground, create_app
from m3kit.server.playground.candidates import find_candidates
from m3kit.server.playground.passages import passage
from m3kit.torch import TorchEncoder
from m3kit.vectors import REPS

QUERY = "insert rows into a table"


@pytest.fixture(scope="module")
def page(
    encoder: TorchEncoder, index: MemoryIndex, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx.Client]:
    options = Playground(
        address="sample",
        judgements=tmp_path_factory.mktemp("playground") / "judgements",
        weights=WeightedSum(0.5, 1, 1),
        candidates=3,
    )
    with (
        serving(create_app(encoder, index=index, playground=options)) as address,
        httpx.Client(base_url=address, timeout=30) as client,
    ):
        yield client


def test_the_page_says_what_the_index_holds(page: httpx.Client) -> None:
    about = page.get("/playground/about").json()
    assert about["address"] == "sample"
    assert about["count"] == len(DOCUMENTS)
    assert about["weights"] == {"dense": 0.5, "sparse": 1, "colbert": 1}
    assert [field["path"] for field in about["fields"]] == [["lang"], ["topic"]]
    assert page.get("/", follow_redirects=True).url.path == "/playground"


def test_every_asset_is_there_and_none_is_let_in_from_elsewhere(page: httpx.Client) -> None:
    html = page.get("/playground").text
    names = [part.split('"')[0] for part in html.split("/playground/")[1:]]
    for path in {"/playground", *(f"/playground/{name}" for name in names)}:
        answer = page.get(path)
        assert answer.status_code == 200, path
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert "style=" not in html
    assert "http" not in html
    assert page.get("/playground/routes.py").status_code == 404


def test_candidates_are_the_union_of_both_branches_with_all_scores(
    page: httpx.Client, encoder: TorchEncoder, index: MemoryIndex
) -> None:
    where = Eq("lang", "en")
    body = {"query": QUERY, "where": filter_to_json(where)}
    hits = page.post("/playground/search", json=body).json()["hits"]
    (query,) = encoder.encode_queries([QUERY])
    branches = [
        index.search(Search(query=query.only(rep), k=3, where=where))
        for rep in ("dense", "sparse")
    ]  # fmt: skip
    union = {hit.document.id for branch in branches for hit in branch}
    assert [hit["id"] for hit in hits] == sorted(union)
    exact = {
        hit.document.id: dict(hit.scores)
        for hit in index.search(Search(query=query, k=50, with_scores=True))
    }
    assert {hit["id"]: hit["scores"] for hit in hits} == {id_: exact[id_] for id_ in union}
    for hit in hits:
        assert "".join(text for text, _ in hit["passage"]) == DOCUMENTS[hit["id"]]
    marked = {text for hit in hits for text, level in hit["passage"] if level}
    assert {"rows", "table"} <= marked


@pytest.mark.parametrize("reps", [["dense"], ["sparse"], ["dense", "colbert"], list(REPS)])
def test_candidates_of_some_representations(
    encoder: TorchEncoder, index: MemoryIndex, reps: list[Any]
) -> None:
    (query,) = encoder.encode_queries([QUERY], reps)
    hits = find_candidates(index, query, where=None, candidates=4)
    assert all(set(hit.scores) == set(reps) for hit in hits)
    assert len(hits) >= (1 if reps == ["sparse"] else 3)
    none = encoder.encode_queries([""], ["sparse"])[0]
    assert find_candidates(index, none, where=None, candidates=4) == []


def test_judgements_are_saved_and_come_with_the_next_search(page: httpx.Client) -> None:
    for id_, grade in (("rows.en", 1), ("print.en", 0), ("print.en", None)):
        body = {"query": QUERY, "id": id_, "grade": grade}
        answer = page.post("/playground/judge", json=body).json()
    assert answer["grades"] == {"rows.en": 1}
    assert Path(answer["file"]).read_text("utf-8") == "1 0 rows.en 1\n"
    answer = page.post("/playground/search", json={"query": QUERY}).json()
    assert answer["grades"] == {"rows.en": 1}
    assert page.post("/playground/judge", json={**body, "grade": 7}).status_code == 422


def test_a_broken_file_of_judgements_is_named(page: httpx.Client) -> None:
    body = {"query": "another", "id": "rows.en", "grade": 1}
    file = Path(page.post("/playground/judge", json=body).json()["file"])
    before = file.read_text("utf-8")
    file.write_text("nonsense\n", "utf-8")
    answer = page.post("/playground/judge", json=body)
    file.write_text(before, "utf-8")
    assert answer.status_code == 500
    assert "qrels.trec:1: not a line of qrels" in answer.json()["error"]["message"]


def test_an_explanation_is_a_picture(page: httpx.Client) -> None:
    answer = page.post("/playground/explain", json={"query": QUERY, "id": "rows.en"})
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert 'class="m3-heat"' in answer.text
    missing = page.post("/playground/explain", json={"query": QUERY, "id": "nobody"})
    assert missing.status_code == 404


def test_colbert_is_made_where_the_index_holds_none(
    serve: Serve, encoder: TorchEncoder, index: MemoryIndex
) -> None:
    flat = MemoryIndex(encoder=encoder, reps=["dense", "sparse"])
    flat.upsert(list(index.scan(None, ["dense", "sparse"])))
    composed, stored = (
        httpx.post(
            f"{serve(encoder, index=each, playground=Playground())}/playground/search",
            json={"query": QUERY},
        ).json()["hits"]
        for each in (flat, index)
    )
    assert [hit["id"] for hit in composed] == [hit["id"] for hit in stored]
    for ours, hit in zip(composed, stored, strict=True):
        assert ours["scores"] == pytest.approx(hit["scores"], abs=1e-6)
    url = serve(encoder, index=flat, playground=Playground(reps=["dense", "sparse"]))
    hits = httpx.post(f"{url}/playground/search", json={"query": QUERY}).json()["hits"]
    assert set(hits[0]["scores"]) == {"dense", "sparse"}


def test_a_playground_needs_an_index_and_takes_no_key(
    encoder: TorchEncoder, index: MemoryIndex, letters: Letters
) -> None:
    with pytest.raises(ValueError, match="give index="):
        create_app(encoder, playground=Playground())
    with pytest.raises(ValueError, match="shows no key"):
        create_app(encoder, index=index, api_key="key", playground=Playground())
    dense = MemoryIndex(2, reps=["dense"])
    with pytest.raises(RepresentationError):
        create_app(letters, index=dense, playground=Playground(reps=["colbert"]))


def test_an_encoder_without_tokens_is_searched_all_the_same(serve: Serve, letters: Letters) -> None:
    index = MemoryIndex(2, reps=["dense"])
    Retriever(letters, index).add([])
    url = serve(letters, index=index, playground=Playground())
    assert httpx.post(f"{url}/playground/search", json={"query": "a"}).json()["hits"] == []
    assert httpx.get(f"{url}/playground/about").json()["explains"] is False
    explained = httpx.post(f"{url}/playground/explain", json={"query": "a", "id": "b"})
    assert explained.status_code == 424


def test_a_passage_is_where_the_most_tokens_match() -> None:
    near = [("y", 4), ("c" * 20, 0), ("z", 2)]
    parts = [("a" * 500, 0), ("x", 1), ("b" * 900, 0), *near, ("d" * 900, 0)]
    cut = passage(parts)
    assert [text for text, level in cut if level] == ["y", "z"]
    assert (cut[0], cut[-1]) == (("…", 0), ("…", 0))
    assert len("".join(text for text, _ in cut[1:-1])) == 360
    assert passage([("short", 0)]) == [("short", 0)]
    assert passage([]) == []


class TestCommands:
    @pytest.mark.parametrize(
        ("arguments", "code", "message"),
        [
            (["--in", "nowhere"], Code.INDEX, "no index at nowhere"),
            (["--in", "nowhere", "--weights", "none.json"], Code.FAILED, "none.json"),
            (["--in", "nowhere", "--reps", "dens"], Code.USAGE, "--reps"),
        ],
    )
    def test_what_is_wrong_is_one_line(
        self, arguments: list[str], code: Code, message: str
    ) -> None:
        result = CliRunner().invoke(app, ["playground", *arguments])
        assert (result.exit_code, message in result.output) == (code, True), result.output

    def test_weights_rank_a_search(
        self,
        tmp_path: Path,
        index: MemoryIndex,
        encoder: TorchEncoder,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        from contextlib import nullcontext

        monkeypatch.setattr("m3kit.cli.app.open_existing", lambda _: nullcontext(index))
        path = tmp_path / "weights.json"
        WeightedSum(0, 1, 0).save(path)
        command = ["search", QUERY, "--in", "x", "--model", "tiny", "--json"]
        result = CliRunner().invoke(app, [*command, "--weights", str(path)])
        hits = Retriever(encoder, index).search(QUERY, fusion=WeightedSum(0, 1, 0))
        assert [hit["id"] for hit in json.loads(result.stdout)["hits"]] == [
            hit.document.id for hit in hits
        ]
        both = CliRunner().invoke(app, [*command, "--weights", str(path), "--fusion", "rrf"])
        assert (both.exit_code, "leave --fusion out" in both.output) == (Code.USAGE, True)
        path.write_text("[]")
        broken = CliRunner().invoke(app, [*command, "--weights", str(path)])
        assert (broken.exit_code, "holds no weights" in broken.output) == (Code.INPUT, True)
