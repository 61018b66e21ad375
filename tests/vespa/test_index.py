"""`VespaIndex`: what it is given, and that it releases its connections."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from vespa.application import Vespa

from m3kit.index import ModelMismatchError
from m3kit.testing import DIM, ENCODER, records
from m3kit_vespa import VespaIndex

pytestmark = pytest.mark.peer


def test_an_encoder_supplies_the_width_and_the_model(app: Vespa) -> None:
    with VespaIndex(app, "encoded", encoder=ENCODER) as index:
        assert index.model == ENCODER.model
    with pytest.raises(ValueError, match="encoder= supplies dim and model"):
        VespaIndex(app, "encoded", encoder=ENCODER, dim=DIM)
    with pytest.raises(ModelMismatchError, match="was made by hash"):
        VespaIndex(app, "encoded", model="another/model@1")


def test_an_index_closes_its_connections_and_not_the_client(app: Vespa) -> None:
    with VespaIndex(app, "typed", dim=DIM) as index:
        index.count()
        assert index._client._connections is not None
    assert index._client._connections is None
    index.close()
    with VespaIndex(app, "typed") as again:
        assert again.count() >= 0


def test_declared_fields_have_an_index_in_vespa_but_for_booleans(
    emptied: Callable[[str], VespaIndex],
) -> None:
    assert emptied("typed").unindexed_fields() == ["open"]
    assert emptied("undeclared").unindexed_fields() == []


def test_an_index_holds_what_its_package_says(emptied: Callable[[str], VespaIndex]) -> None:
    index = emptied("cases")
    assert index.reps == {"dense"}
    index.upsert(records([]))
    assert repr(index) == f"VespaIndex('cases', dim={DIM}, reps=('dense',), model=None)"
