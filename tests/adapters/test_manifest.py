from __future__ import annotations

import json
from typing import Any

import pytest

from m3kit import (
    REPS,
    ColbertStorage,
    IndexNotFoundError,
    ModelMismatchError,
    RepresentationError,
)
from m3kit.adapters.manifest import IndexRequest, Manifest
from m3kit.testing import DIM, HashEncoder

STORED = {"format": 2, "dim": 8, "reps": ["dense", "colbert"], "model": None}


def request(**options: Any) -> IndexRequest:
    given: dict[str, Any] = {"dim": None, "reps": None, "model": None, **options}
    return IndexRequest.of(given.pop("encoder", None), **given)


def test_a_manifest_comes_back_and_mentions_storage_only_where_it_is_not_float32() -> None:
    whole = Manifest.from_json(STORED, "x")
    assert whole == request(dim=8, reps=["dense", "colbert"]).new_manifest("x")
    assert whole.to_json() == STORED
    small = request(dim=8, reps=["colbert"], colbert=ColbertStorage("int8", 2)).new_manifest("x")
    assert Manifest.from_json(json.loads(json.dumps(small.to_json())), "x") == small
    assert "int8 pooled by 2" in str(small)


@pytest.mark.parametrize(
    ("stored", "why"),
    [
        ({**STORED, "format": 1}, "x was made by an earlier development version of m3kit; index"),
        ({**STORED, "format": 3}, "x is of format 3, and this m3kit reads 2; upgrade m3kit"),
        ({"lang": "de"}, "x was not created by m3kit"),
        (None, "x was not created by m3kit"),
        ({**STORED, "colbert": {"dtype": "int4", "pool_factor": 1}}, r"'int4'.*upgrade m3kit"),
    ],
    ids=str,
)
def test_what_cannot_be_read_says_what_to_do(stored: object, why: str) -> None:
    with pytest.raises(IndexNotFoundError, match=why):
        Manifest.from_json(stored, "x")


def test_an_index_is_not_opened_with_another_storage() -> None:
    manifest = Manifest(8, frozenset({"colbert"}), None, ColbertStorage("int8", 2))
    request(dim=8).check(manifest, "x")
    request(colbert=ColbertStorage("int8", 2)).check(manifest, "x")
    with pytest.raises(ModelMismatchError, match="int8 pooled by 2, and float32 is asked"):
        request(colbert=ColbertStorage()).check(manifest, "x")
    with pytest.raises(ModelMismatchError, match="8 wide, and 9"):
        request(dim=9).check(manifest, "x")


def test_without_a_width_nothing_is_created() -> None:
    with pytest.raises(IndexNotFoundError, match=r"no index at x; give encoder= \(or dim=\)"):
        request().new_manifest("x")


def test_an_encoder_supplies_width_model_and_representations() -> None:
    encoder = HashEncoder()
    assert request(encoder=encoder).new_manifest("x") == Manifest(DIM, frozenset(REPS), "hash")
    assert request(encoder=encoder, reps=["dense"]).reps == {"dense"}
    assert request(encoder=encoder, default_reps=("dense", "sparse")).reps == {"dense", "sparse"}
    encoder.reps = frozenset({"dense"})
    assert request(encoder=encoder).reps == {"dense"}
    with pytest.raises(RepresentationError, match="hash makes no sparse, colbert vectors"):
        request(encoder=encoder, reps=REPS)
    for given in ({"dim": DIM}, {"model": "hash"}):
        with pytest.raises(ValueError, match="encoder= supplies dim and model"):
            request(encoder=encoder, **given)
