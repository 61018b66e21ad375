from __future__ import annotations

from enum import Enum, IntEnum
from typing import Any

import numpy as np
import pytest

from m3kit import Document
from m3kit.records import DEEPEST


class Colour(IntEnum):
    RED = 1


class Lang(str, Enum):  # noqa: UP042  # str() of a member is its name, unlike StrEnum's
    DE = "de"


def test_metadata_is_copied_all_the_way_down() -> None:
    metadata: dict[str, Any] = {"list": [1, {"a": [2]}]}
    document = Document("a", "text", metadata)
    metadata["list"][1]["a"].append(3)
    assert document.metadata == {"list": [1, {"a": [2]}]}


def test_a_parsed_document_equals_one_that_was_checked() -> None:
    metadata: dict[str, Any] = {"list": [1, {"a": [2]}]}
    parsed = Document.parsed("a", "text", metadata)
    assert parsed == Document("a", "text", metadata)
    assert parsed.metadata is metadata
    assert hash(parsed) == hash(Document("a", "text"))


def test_subclasses_become_pythons_own_types() -> None:
    document = Document("a", "", {"int": Colour.RED, "float": np.float64(0.5), "str": np.str_("x")})
    assert [type(value) for value in document.metadata.values()] == [int, float, str]
    document = Document("a", "", {Lang.DE: [Lang.DE, {"a": Lang.DE}]})
    assert repr(document.metadata) == "{'de': ['de', {'a': 'de'}]}"


@pytest.mark.parametrize(
    ("metadata", "says"),
    [
        ({"n": float("nan")}, "not finite"),
        ({"n": float("inf")}, "not finite"),
        ({"n": 2**63}, "64 bits"),
        ({"n": -(2**63) - 1}, "64 bits"),
        ({"deep": [{"n": [float("nan")]}]}, "not finite"),
        ({"text": "\ud800"}, "lone surrogate"),
        ({"\ud800": 1}, "lone surrogate"),
    ],
)
def test_values_that_no_engine_keeps_are_refused(metadata: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says) as error:
        Document("the id", "", metadata)
    assert "in the metadata of document 'the id'" in error.value.__notes__


@pytest.mark.parametrize(
    ("metadata", "says"),
    [
        ({"t": (1, 2)}, r"\(1, 2\) \(tuple\) is not JSON"),
        ({"s": {1}}, "set"),
        ({"b": b"x"}, "bytes"),
        ({"n": np.int64(1)}, "int64"),
        ({1: "x"}, "key 1 is not a string"),
        ({"o": {2: "x"}}, "key 2 is not a string"),
        ([("a", 1)], "not a mapping"),
    ],
)
def test_what_json_cannot_say_is_refused(metadata: Any, says: str) -> None:
    with pytest.raises(TypeError, match=says):
        Document("a", "", metadata)


def test_metadata_has_a_depth() -> None:
    nested: Any = 1
    for _ in range(DEEPEST - 1):
        nested = [nested]
    assert Document("a", "", {"deep": nested}).metadata == {"deep": nested}
    with pytest.raises(ValueError, match="nested deeper than 64 levels"):
        Document("a", "", {"deep": {"er": nested}})


def test_ids_and_texts_are_strings_that_can_be_stored() -> None:
    with pytest.raises(ValueError, match="empty"):
        Document("", "text")
    with pytest.raises(ValueError, match="lone surrogate at character 2"):
        Document("a", "ab\udc80")
    with pytest.raises(ValueError, match="lone surrogate"):
        Document("\udc80", "")
    with pytest.raises(TypeError, match="None"):
        Document("a", None)  # type: ignore[arg-type]  # what is refused
    with pytest.raises(TypeError, match="7"):
        Document(7, "")  # type: ignore[arg-type]  # what is refused


def test_the_remedy_for_a_lone_surrogate_works() -> None:
    text = "ab\udc80 \ud83d\ude42"
    repaired = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    assert Document("a", repaired).text == "ab\ufffd 🙂"


def test_documents_can_be_kept_in_a_set() -> None:
    assert len({Document("a", "x", {"n": [1]}), Document("a", "x", {"n": [1]})}) == 1
