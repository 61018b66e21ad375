from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.vespa_peer.client import Client, RefusedError
from tests.vespa_peer.corpus import DOCUMENTS, bfloat16, fields

pytestmark = pytest.mark.peer


def test_a_document_comes_back_as_it_was_put(papers: Client) -> None:
    stored, got = fields("d3"), papers.fields("d3")
    exact = ("id", "title", "text", "tags", "year", "price", "public", "tokens", "token_ids")
    assert {name: got[name] for name in exact} == {name: stored[name] for name in exact}
    np.testing.assert_array_equal(
        np.float32(got["colbert"]["blocks"]["0"]), bfloat16(DOCUMENTS["d3"].colbert)[0]
    )
    assert got["cells"]["blocks"] == {
        key: [*map(float, row)] for key, row in stored["cells"].items()
    }


def test_values_that_an_attribute_cannot_hold_are_gone(empty: Client) -> None:
    least = {"year": -(2**31), "serial": -(2**63)}
    empty.put("own1", {"id": "", "tags": [], "tokens": {}, **least, "note": ""})
    assert empty.fields("own1") == {"public": False}
    [hit] = empty.hits('id in ("")')
    shown = {"sddocname", "documentid", "public"}  # Vespa shows no text that is empty
    assert hit["fields"].keys() == shown


def test_a_document_is_updated(empty: Client) -> None:
    empty.put("own1", {"id": "own1", "year": 1, "tags": ["a"]})
    changes = {"year": {"increment": 2}, "tags": {"add": ["b"]}, "title": {"assign": "new"}}
    empty.document("PUT", "own1", {"fields": changes})
    got = empty.fields("own1")
    assert (got["year"], got["tags"], got["title"]) == (3, ["a", "b"], "new")
    empty.document("PUT", "own1", {"fields": {"title": {"assign": None}}})
    assert "title" not in empty.fields("own1")


def test_an_update_makes_a_document_only_if_told_so(empty: Client) -> None:
    change = {"fields": {"year": {"assign": 1}}}
    empty.document("PUT", "own1", change)
    with pytest.raises(RefusedError, match="404"):
        empty.fields("own1")
    empty.document("PUT", "own1", change, "?create=true")
    assert empty.fields("own1")["year"] == 1


def test_a_write_goes_by_its_condition(empty: Client) -> None:
    empty.put("own1", {"id": "own1", "year": 1})
    wrong, right = "?condition=paper.year==2", "?condition=paper.year==1"
    with pytest.raises(RefusedError, match="412"):
        empty.put("own1", {"id": "own1", "year": 3}, wrong)
    with pytest.raises(RefusedError, match="412"):
        empty.document("DELETE", "own1", query=wrong)
    with pytest.raises(RefusedError, match="412"):
        empty.document("PUT", "own2", {"fields": {"year": {"assign": 1}}}, right)
    empty.document("PUT", "own1", {"fields": {"year": {"assign": 3}}}, right)
    assert empty.fields("own1")["year"] == 3
    empty.put("own2", {"year": 9}, f"{right}&create=true")
    assert empty.fields("own2")["year"] == 9


def test_what_is_deleted_is_gone_and_may_be_deleted_again(empty: Client) -> None:
    empty.put("own1", {"id": "own1"})
    for _ in range(2):
        empty.document("DELETE", "own1")
    assert empty.ids('id contains "own1"') == []


@pytest.mark.parametrize(
    "key", ["own a b", "own?a=b&c#d", "own%25", "own::", "own漢字 é", "own\nline", "own/x"]
)
def test_an_odd_key_is_kept(empty: Client, key: str) -> None:
    empty.put(key, {"id": "odd"})
    [hit] = empty.hits('id contains "odd"')
    assert hit["fields"]["documentid"] == f"id:paper:paper::{key}"
    assert empty.fields(key)["id"] == "odd"


def test_a_visit_goes_on_where_it_stopped(papers: Client) -> None:
    pages = papers.visit(wantedDocumentCount=7)
    assert len(pages) > 3
    seen = [key for page in pages for key in page]
    assert sorted(seen) == sorted(f"id:paper:paper::{key}" for key in DOCUMENTS)


@pytest.mark.parametrize(
    ("selection", "keys"),
    [
        ("paper.year < 1995", {f"d{i}" for i in range(5)}),
        ('paper.title == "Odd" and paper.year < 1995', {"d1", "d3"}),
        ('id = "id:paper:paper::d7"', {"d7"}),
        ("paper.serial", set()),
    ],
)
def test_a_visit_goes_by_its_selection(papers: Client, selection: str, keys: set[str]) -> None:
    pages = papers.visit(selection=selection, wantedDocumentCount=1000)
    assert {key.rpartition(":")[2] for page in pages for key in page} == keys


def test_a_selection_deletes(empty: Client) -> None:
    for number in range(5):
        empty.put(f"own{number}", {"id": f"own{number}", "year": number})
    path = "/document/v1/paper/paper/docid?cluster=papers&selection="
    selected = "paper.year%20%3C%203%20and%20id%20%3D%20%22id:paper:paper::own*%22"
    status, answer = empty.call("DELETE", path + selected)
    assert (status, answer["documentCount"]) == (200, 3)
    assert sorted(empty.ids('id matches "^own"')) == ["own3", "own4"]


def test_clusters_do_not_share_documents(empty: Client) -> None:
    empty.put("own1", {"id": "own1"})
    path = "/document/v1/review/review/docid/own1"
    assert empty.call("POST", path, {"fields": {"id": "own1"}})[0] == 200
    body = {"yql": 'select * from sources * where id contains "own1"', "ranking": "unranked"}
    hits = empty.call("POST", "/search/", body)[1]["root"]["children"]
    assert {hit["source"] for hit in hits} == {"papers", "reviews"}
    status, answer = empty.call("DELETE", "/document/v1/?cluster=reviews&selection=true")
    assert (status, answer["documentCount"]) == (200, 1)
    assert empty.fields("own1")["id"] == "own1"


def test_a_selection_that_is_none_is_refused(papers: Client) -> None:
    with pytest.raises(RefusedError, match="400"):
        papers.visit(selection="paper.year <")


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("dense", [0.5] * 9, "Index 8 out of bounds"),
        ("colbert", {"0": [0.5] * 7}, "Expected 8 values, but got 7"),
        ("nobody", 1, "Field 'nobody' is not defined"),
        ("year", "x", "Could not parse field 'year'"),
        ("tokens", {"5": 0.5}, "Could not parse field 'tokens'"),
        ("id", "\x01", "illegal code point"),
    ],
)
def test_a_feed_that_vespa_refuses_is_refused(
    empty: Client, field: str, value: Any, message: str
) -> None:
    with pytest.raises(RefusedError, match=message):
        empty.put("own1", {field: value})


def test_a_short_dense_vector_is_filled_with_zeros(empty: Client) -> None:
    empty.put("own1", {"dense": [0.5] * 7})
    assert empty.fields("own1")["dense"]["values"] == [0.5] * 7 + [0.0]
