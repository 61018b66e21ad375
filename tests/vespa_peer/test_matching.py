from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from tests.vespa_peer.client import Client, RefusedError
from tests.vespa_peer.corpus import DOCUMENTS, fields

pytestmark = pytest.mark.peer

STORED = {key: fields(key) for key in DOCUMENTS}
ODD_STRINGS = [
    'it\'s "quoted"', "back\\slash", "line\nbreak", "tab\tstop", "ümläut 漢字 🙂", "a AND b", "*",
    "%20+&=?#/", "@id", "a, b", " spaces ", "'", '"', "\\n", "{}[]()", "ß", "e\u0301", "1.0", "1",
]  # fmt: skip


@pytest.mark.parametrize(
    ("where", "test"),
    [
        ("true", lambda _: True),
        ("false", lambda _: False),
        ("year = 2000", lambda f: f["year"] == 2000),
        ("year >= 2000 and year < 2010", lambda f: 2000 <= f["year"] < 2010),
        ("range(year, 2000, 2010)", lambda f: 2000 <= f["year"] <= 2010),
        ("year > 2000.5", lambda f: f["year"] > 2000.5),
        ("year < 2000.5", lambda f: f["year"] < 2000.5),
        ("year = 3000000000", lambda _: False),
        ("year < 3000000000", lambda _: True),
        ("year in (2000, 2001, 7)", lambda f: f["year"] in (2000, 2001)),
        ("price > 3.5", lambda f: f["price"] > 3.5),
        ("price = 3.5", lambda f: f["price"] == 3.5),
        ("price = 3", lambda f: f["price"] == 3),
        ("public = true", lambda f: f["public"]),
        ("public = false", lambda f: not f["public"]),
        ("!(year = 2000)", lambda f: f["year"] != 2000),
        ('id in ("d1", "d2")', lambda f: f["id"] in ("d1", "d2")),
        ('id contains "D1"', lambda _: False),
        ('title contains "eVEN"', lambda f: f["title"] == "Even"),
        ('title in ("EVEN")', lambda f: f["title"] == "Even"),
        ('tags contains "t1"', lambda f: "t1" in f["tags"]),
        ('tags in ("t1", "t2")', lambda f: {"t1", "t2"} & {*f["tags"]}),
        ('id contains ({prefix: true}"d1")', lambda f: f["id"].startswith("d1")),
        ('id matches "1.*2|^d3$"', lambda f: re.search("1.*2|^d3$", f["id"])),
        ('title matches "^EV[A-Z]+$"', lambda f: f["title"] == "Even"),
        ('tags matches "[12]"', lambda f: re.search("[12]", f["tags"][0])),
        ('text contains "cats"', lambda f: "cats" in f["text"]),
        ('default contains "cat"', lambda f: "cats" in f["text"]),
        (
            'year = 2000 or (title contains "odd" and price >= 5)',
            lambda f: f["year"] == 2000 or (f["title"] == "Odd" and f["price"] >= 5),
        ),
        (
            'tags contains "all" and !(tags contains "t0" or year > 2030)',
            lambda f: "t0" not in f["tags"] and f["year"] <= 2030,
        ),
    ],
)
def test_a_condition_means_what_python_means(
    papers: Client, where: str, test: Callable[[dict[str, Any]], object]
) -> None:
    assert {*papers.ids(where)} == {key for key, stored in STORED.items() if test(stored)}


def test_the_words_of_a_user_are_found_in_any_form(papers: Client) -> None:
    keys = papers.ids("userQuery()", "bm25", query="CAT nobody")
    assert {*keys} == {key for key, stored in STORED.items() if "cats" in stored["text"]}


@pytest.mark.parametrize("value", ODD_STRINGS)
def test_odd_strings_are_found_as_they_are(empty: Client, value: str) -> None:
    for number, other in enumerate(ODD_STRINGS):
        empty.put(f"own{number}", {"id": other, "tags": [other], "note": "own"})
    escapes = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t"}
    quoted = '"' + "".join(escapes.get(char, char) for char in value) + '"'
    for where in (
        f"id contains {quoted}", f"id in ({quoted})", "id contains @v", f"tags contains {quoted}",
    ):  # fmt: skip
        assert empty.ids(where, v=value) == [value]


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("serial = 9007199254740993", ["own2"]),
        ("serial in (9007199254740993)", ["own2"]),
        ("range(serial, 9007199254740993L, 9223372036854775295L)", ["own2"]),
        # What is open at one end, or goes beyond that, is sent as doubles, which do not tell these
        # numbers apart.
        ("serial >= 9007199254740993", ["own1", "own2", "own3"]),
        ("range(serial, 9007199254740993L, 9223372036854775296L)", ["own1", "own2", "own3"]),
        ("serial = 9223372036854775807", ["own3"]),
        # A number that is not whole is rounded.
        ("year = 2000.5", ["own1"]),
        ("year = 2000.4", ["own2"]),
    ],
)
def test_whole_numbers_are_compared_as_vespa_does(
    empty: Client, where: str, expected: list[str]
) -> None:
    empty.put("own1", {"id": "own1", "serial": 9007199254740992, "year": 2001, "note": "own"})
    empty.put("own2", {"id": "own2", "serial": 9007199254740993, "year": 2000, "note": "own"})
    empty.put("own3", {"id": "own3", "serial": 9223372036854775807, "note": "own"})
    keys = [key for key in empty.ids(where) if key.startswith("own")]
    assert sorted(keys) == expected


def test_a_float_is_compared_as_a_float(empty: Client) -> None:
    empty.put("own1", {"id": "own1", "share": 0.1})
    assert empty.ids("share = 0.1") == ["own1"]
    assert empty.ids("share >= 0.1") == ["own1"]
    assert empty.ids("share > 0.1") == []


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ('id in ("")', True),
        ('title matches "^$"', True),
        ("public = false", True),
        ("public = true", False),
        ("range(public, 0, 1)", False),
        ("year < 5000", False),
        ("!(year < 5000)", True),
        ("serial <= 0", False),
        ("price <= 0", False),
        ('tags in ("")', False),
        ("token_ids in (1)", False),
    ],
)
def test_what_is_missing_matches_as_vespa_reads_it(
    empty: Client, where: str, expected: object
) -> None:
    empty.put("own1", {"note": "own"})
    keys = {hit["fields"]["documentid"].rpartition(":")[2] for hit in empty.hits(where)}
    assert ("own1" in keys) is expected


@pytest.mark.parametrize(
    ("order", "want"),
    [
        ("+year", ["own4", "own1", "own2", "own3"]),
        ("-year", ["own3", "own2", "own1", "own4"]),
        ("-id", ["own4", "own3", "own2", "own1"]),
        ("+title -year", ["own4", "own3", "own1", "own2"]),
        ("+public +year", ["own4", "own1", "own3", "own2"]),
        ("-[rank] +id", ["own3", "own2", "own1", "own4"]),
    ],
)
def test_hits_are_sorted(empty: Client, order: str, want: list[str]) -> None:
    empty.put("own1", {"id": "own1", "year": 1, "title": "b", "tags": ["own"]})
    empty.put("own2", {"id": "own2", "year": 2, "title": "c", "tags": ["own"], "public": True})
    empty.put("own3", {"id": "own3", "year": 3, "title": "B", "tags": ["own"]})
    empty.put("own4", {"id": "own4", "tags": ["own"]})
    assert empty.ids('tags contains "own"', "year", sorting=order) == want


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ('text contains phrase("a", "b")', "does not know the query item ITEM_PHRASE"),
        ('text contains near("a", "b")', "does not know the query item ITEM_NEAR"),
        ('id contains ({maxEditDistance: 1}fuzzy("d1"))', "does not know the query item"),
        ('id contains ({suffix: true}"1")', "does not know the query item ITEM_SUFFIX_TERM"),
        ('id contains ({substring: true}"1")', "does not know the query item ITEM_SUBSTRING_TERM"),
        ("({hitLimit: 5}range(year, 0, 3000))", "hitLimit"),
        (r'id matches "\\w+(?!x)"', "Not a regular expression of RE2"),
        ('note contains "a"', "neither an attribute nor an index"),
        ("true | all(group(year) each(output(count())))", "does not group"),
    ],
)
def test_an_item_that_the_peer_does_not_know_is_an_error(
    papers: Client, where: str, message: str
) -> None:
    with pytest.raises(RefusedError, match=message):
        papers.search(where)


@pytest.mark.parametrize(
    ("where", "more", "message"),
    [
        ("nobody contains 'x'", {}, "Field 'nobody' does not exist"),
        ("(((", {}, "no viable alternative"),
        ("id in ()", {}, "no viable alternative"),
        ("price in (1.0)", {}, "only supported for integer and string fields"),
        ("title = 'x'", {}, "is not an int item"),
        ("sparse contains '5'", {}, "It is a tensor field"),
        ("({targetHits: 10}nearestNeighbor(dense, q_dense))", {}, "tensor"),
        ("true", {"ranking": "nobody"}, "nobody"),
        ("true", {"hits": 10_001}, "configured limit: 10000"),
        ("({targetHits: 10}wand(tokens, {'5': 0.5}))", {}, "Cannot cast"),
        (
            "({targetHits: 10}nearestNeighbor(dense, q_dense))",
            {"ranking": "dense", "input.query(q_dense)": [0.5] * 9},
            "Could not set 'ranking.features.query",
        ),
        ("true", {"presentation.summary": "nobody"}, "nobody"),
        (
            "true",
            {"ranking.properties.bm25(text).k1": 2},
            r"does not know the rank property 'bm25\(text\)",
        ),
        ("true", {"ranking.listFeatures": True, "ranking": "year"}, "list all rank features"),
        ("true", {"input.query(unset)": "cat", "ranking": "dense"}, "Could not set"),
        (
            "true",
            {"ranking.matchPhase.maxHits": 5, "ranking.matchPhase.attribute": "serial"},
            "does not know the rank property",
        ),
    ],
)
def test_what_vespa_refuses_is_refused(
    papers: Client, where: str, more: dict[str, Any], message: str
) -> None:
    with pytest.raises(RefusedError, match=message):
        papers.search(where, **more)
