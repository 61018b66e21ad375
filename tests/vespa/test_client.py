"""Requests to Vespa: what fails names its cause, and an incomplete answer is an error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from httpr import ConnectError
from tests.vespa.drawn import drawn
from vespa.application import VespaSync
from vespa.exceptions import VespaError

from m3kit.index import Search
from m3kit.testing import query
from m3kit_vespa import VespaIndex
from m3kit_vespa.client import AnswerError, FeedError
from m3kit_vespa.spelling import digest

pytestmark = pytest.mark.peer
Emptied = Callable[[str], VespaIndex]


def test_a_feed_that_fails_names_each_document_and_can_be_resumed(
    emptied: Emptied, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = emptied("typed")
    feed = VespaSync.feed_data_point
    lost = {digest(f"{n}") for n in range(20, 60, 3)}

    def interrupted(self: VespaSync, schema: str, data_id: str, fields: Any, **how: Any) -> Any:
        if data_id in lost:
            raise ConnectError("the connection was lost")
        return feed(self, schema, data_id, fields, **how)

    with monkeypatch.context() as patched:
        patched.setattr(VespaSync, "feed_data_point", interrupted)
        with pytest.raises(FeedError, match="and 13 more: the connection was lost") as caught:
            index.upsert(drawn(60))
    assert set(caught.value.failures) == {f"{n}" for n in range(20, 60, 3)}
    assert index.count() == 60 - len(lost)
    index.upsert(drawn(60))
    assert sorted(record.document.id for record in index.scan()) == sorted(
        f"{n}" for n in range(60)
    )


def test_what_vespa_itself_refuses_is_told_with_the_documents_id(emptied: Emptied) -> None:
    index = emptied("typed")
    with pytest.raises(FeedError, match=r"'new'.*nobody"):
        index._client.write([("new", "name", lambda: {"nobody": 1})])


def test_an_answer_that_is_not_whole_is_an_error(
    emptied: Emptied, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = emptied("typed")
    send = VespaSync.query
    more: dict[str, Any] = {}

    def changed(self: VespaSync, body: Any = None, **how: Any) -> Any:
        answer: Any = send(self, body, **how)
        answer.json["root"] |= more
        return answer

    monkeypatch.setattr(VespaSync, "query", changed)
    more = {"coverage": {"full": False, "coverage": 50}}
    with pytest.raises(AnswerError, match="looked at only 50 %"):
        index.count()
    more = {"errors": [{"message": "a node is down"}]}
    with pytest.raises(AnswerError, match="a node is down"):
        index.search(Search(query=query("bear", "dense")))


@pytest.mark.parametrize("where", ["(((", "nobody contains 'x'", "lang = 'x'", "id in ()"])
def test_a_malformed_query_is_vespas_own_error(emptied: Emptied, where: str) -> None:
    with pytest.raises(VespaError):
        emptied("typed")._client.search(where, select=["id"])
