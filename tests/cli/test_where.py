from __future__ import annotations

import pytest

from m3kit import And, Contains, Document, Eq, Filter, In, Not, Or, Range, Substring, matches
from m3kit.cli.where import WhereError, where


@pytest.mark.parametrize(
    ("condition", "filter_"),
    [
        ("lang=de", Eq("lang", "de")),
        (" lang = de ", Eq("lang", "de")),
        ("lang=de,fr", In("lang", ("de", "fr"))),
        ("lang!=de", Not(Eq("lang", "de"))),
        ("lang!=de,fr", Not(In("lang", ("de", "fr")))),
        ("year=2020", Eq("year", 2020)),
        ("year=-2.5e3", Eq("year", -2500.0)),
        ('year="2020"', Eq("year", "2020")),
        ("code=007", Eq("code", "007")),
        ("draft=true", Eq("draft", value=True)),
        ("draft=True", Eq("draft", "True")),
        ("year>2020", Range("year", gt=2020)),
        ("year>=2020", Range("year", ge=2020)),
        ("year<2020.5", Range("year", lt=2020.5)),
        ("year<=2020", Range("year", le=2020)),
        ("tags~=new", Contains("tags", "new")),
        ("tags~=1,2", Or((Contains("tags", 1), Contains("tags", 2)))),
        ("title*=table", Substring("title", "table")),
        ("version*=1.10", Substring("version", "1.10")),
        ('title*="a, b"', Substring("title", "a, b")),
        ('title=""', Eq("title", "")),
        ('title="a, b",c', In("title", ("a, b", "c"))),
        (r'title="say \"x\" \\ \u00e9"', Eq("title", 'say "x" \\ é')),
        ("url=https://x.org/?a=b", Eq("url", "https://x.org/?a=b")),
        ("a.b c=ж", Eq("a.b c", "ж")),
        ("a*b=1", Eq("a*b", 1)),
        ("note=two\nlines", Eq("note", "two\nlines")),
    ],
)
def test_a_condition_is_a_filter(condition: str, filter_: Filter) -> None:
    assert where([condition]) == filter_


def test_without_conditions_there_is_no_filter() -> None:
    assert where([]) is None


def test_several_conditions_must_all_hold() -> None:
    both = where(["lang=de", "year>=2020"])
    assert both == And((Eq("lang", "de"), Range("year", ge=2020)))
    assert both is not None
    assert matches(both, Document("a", "", {"lang": "de", "year": 2021}))
    assert not matches(both, Document("b", "", {"lang": "de", "year": 2019}))


@pytest.mark.parametrize(
    ("condition", "named"),
    [
        ("lang", "'lang' is no condition"),
        ("=de", "'=de' is no condition"),
        ("lang=", "a value is missing after lang="),
        ("lang=de,", "a value is missing after lang="),
        ("lang=,de", "a value is missing after lang="),
        ("year>=new", "new is none"),
        ('year>="2020"', '"2020" is none'),
        ("year<true", "true is none"),
        ('lang="de', "is no JSON string"),
        ('lang="de"x', "is no JSON string"),
        ('title*=""', "say Exists"),
        ("na[me]=x", "na[me]"),
        ("year=1e999", "not finite"),
        ("year=99999999999999999999", "keep it as a string"),
    ],
)
def test_what_cannot_be_read_is_named(condition: str, named: str) -> None:
    with pytest.raises(WhereError) as caught:
        where([condition])
    assert named in str(caught.value)
    assert repr(condition) in str(caught.value)
