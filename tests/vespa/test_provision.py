"""What a deployed schema says of itself, and that a wrong one is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.vespa.application import NOTEBOOK, OPTIONS
from tests.vespa.drawn import drawn
from vespa.application import Vespa

from m3kit import WithColbert
from m3kit.adapters.manifest import Manifest, manifest_of
from m3kit.index import IndexNotFoundError, ModelMismatchError
from m3kit.testing import DIM, ENCODER
from m3kit_vespa import M3KIT, VespaIndex, provision
from m3kit_vespa.client import SchemaClient
from m3kit_vespa.field_types import AttributeType
from m3kit_vespa.layout import Layout
from m3kit_vespa.provision import from_constants, to_constants

MODEL = "BAAI/bge-m3@5617a9f6"


def test_a_layout_is_read_as_it_was_written() -> None:
    types: dict[str, AttributeType] = {"ключ": "string", "year": "long", "a.b": "array<string>"}
    for options in OPTIONS:
        manifest = Manifest(DIM, frozenset(options["reps"]), "a model", options["colbert"])
        layout = Layout(M3KIT, manifest, types, options["sparse"])
        constants = {name: float(value) for name, value in to_constants(layout).items()}
        assert from_constants(constants, {"model": "a model"}, "the schema 'a'") == layout


def test_a_schema_of_a_later_version_asks_for_an_upgrade() -> None:
    with pytest.raises(IndexNotFoundError, match="upgrade m3kit"):
        from_constants({"dim": 32.0, "holds_dense": 1.0, "format": 99.0}, {}, "the schema 'a'")


@pytest.mark.peer
def test_a_schema_of_an_earlier_version_says_so(app: Vespa) -> None:
    with pytest.raises(
        IndexNotFoundError, match=r"earlier development version .* deploy the package .* again"
    ):
        VespaIndex(app, "earlier", dim=DIM)


@pytest.mark.peer
def test_the_first_to_open_records_its_model_and_the_next_is_checked(app: Vespa) -> None:
    with pytest.raises(IndexNotFoundError, match=r"give encoder= \(or dim=\)"):
        VespaIndex(app, "recorded")
    assert VespaIndex(app, "recorded", dim=DIM, model=MODEL).model == MODEL
    index = VespaIndex(app, "recorded")
    assert index.model == MODEL
    manifest = manifest_of(index)
    assert manifest is not None
    assert manifest.id
    assert manifest_of(VespaIndex(app, "recorded", dim=DIM)).id == manifest.id  # type: ignore[union-attr]  # it has one
    with pytest.raises(ModelMismatchError, match="was made by"):
        VespaIndex(app, "recorded", dim=DIM, model="another/model@1")


@pytest.mark.peer
def test_of_two_that_open_at_once_the_first_wins(
    app: Vespa, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second has looked before the first has written."""
    read = provision.read_description

    def blind(_: SchemaClient, __: str) -> None:
        monkeypatch.setattr(provision, "read_description", read)
        assert VespaIndex(app, "raced", dim=DIM, model=MODEL).model == MODEL

    monkeypatch.setattr(provision, "read_description", blind)
    with pytest.raises(ModelMismatchError, match="was made by"):
        VespaIndex(app, "raced", dim=DIM, model="another/model@1")
    assert VespaIndex(app, "raced").model == MODEL


@pytest.mark.peer
def test_a_schema_of_another_width_or_origin_is_refused(app: Vespa) -> None:
    with pytest.raises(ModelMismatchError, match=f"are {DIM} wide"):
        VespaIndex(app, "typed", dim=DIM + 1)
    for schema in ("unheardof", "m"):
        with pytest.raises(IndexNotFoundError, match=r"not created by m3kit .*fields=FieldNames"):
            VespaIndex(app, schema, dim=DIM)
    with pytest.raises(IndexNotFoundError, match=r"no rank profile m3_\w+ .*add_profiles"):
        VespaIndex(app, "m3kit", dim=DIM, fields=NOTEBOOK)
    with pytest.raises(ValueError, match="give encoder= or dim="):
        VespaIndex(app, "m", fields=NOTEBOOK)
    with pytest.raises(ValueError, match="not the name of a field"):
        VespaIndex(app, "m", dim=DIM, fields=replace(NOTEBOOK, text="text from m where true"))


@pytest.mark.peer
@pytest.mark.parametrize("wrong", [{"text": "body"}, {"id": "key"}, {"metadata": "meta"}], ids=str)
def test_a_wrong_field_name_is_refused_with_those_that_a_document_has(
    app: Vespa, wrong: dict[str, str]
) -> None:
    """Or else texts were empty, and `WithColbert` would rank by them."""
    index = VespaIndex(app, "m", dim=DIM, fields=NOTEBOOK)
    index.upsert(drawn(2))
    (name,) = wrong.values()
    with pytest.raises(IndexNotFoundError, match=f"{name}.* documents has .*dense_rep") as caught:
        WithColbert(VespaIndex(app, "m", dim=DIM, fields=replace(NOTEBOOK, **wrong)), ENCODER)
    assert "text" in str(caught.value)
    with pytest.raises(IndexNotFoundError, match="month"):
        VespaIndex(app, "m", dim=DIM, fields=NOTEBOOK, field_types={"month": int})
    index.delete(["0", "1"])
