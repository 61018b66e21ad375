"""POST /encode: what the encoder makes, in three formats."""

from __future__ import annotations

from typing import Any

import httpx
import msgpack
import numpy as np
import pytest
from safetensors.numpy import load
from tests.server.conftest import Letters, Serve
from tests.shipped import LONGEST

from m3kit.arrays import from_arrays
from m3kit.torch import TorchEncoder
from m3kit.vectors import REPS, M3Output, Rep, Sparse

TEXTS = ["a table", "Zeilen und Spalten einfügen", "", "在文本文档的表格中插入行和列。"]
FORMATS = ["application/json", "application/msgpack", "application/safetensors"]


def _outputs(response: httpx.Response) -> list[M3Output]:
    """Read outputs in whichever format they came."""
    assert response.status_code == 200, response.text
    match response.headers["content-type"]:
        case "application/msgpack":
            arrays = {
                name: np.frombuffer(array["data"], array["dtype"]).reshape(array["shape"])
                for name, array in msgpack.unpackb(response.content)["arrays"].items()
            }
            return from_arrays(arrays, len(TEXTS))
        case "application/safetensors":
            return from_arrays(load(response.content), len(TEXTS))
        case _:
            return [_output(entry) for entry in response.json()["data"]]


def _output(entry: dict[str, Any]) -> M3Output:
    sparse = entry.get("sparse")
    vectors = {
        name: np.array(entry[name], np.float32) for name in ("dense", "colbert") if name in entry
    }
    weights = None if sparse is None else {int(id_): weight for id_, weight in sparse.items()}
    return M3Output(sparse=None if weights is None else Sparse.from_dict(weights), **vectors)


def assert_close(ours: list[M3Output], theirs: list[M3Output], tolerance: float = 1e-6) -> None:
    for one, other in zip(ours, theirs, strict=True):
        assert one.reps == other.reps
        for rep in one.reps:
            first, second = getattr(one, rep), getattr(other, rep)
            if isinstance(first, Sparse):
                assert first.ids.tolist() == second.ids.tolist()
                first, second = first.weights, second.weights
            np.testing.assert_allclose(first, second, rtol=0, atol=tolerance)


@pytest.mark.parametrize("accept", FORMATS)
@pytest.mark.parametrize("kind", ["document", "query"])
def test_every_format_holds_what_the_encoder_makes(
    client: httpx.Client, encoder: TorchEncoder, accept: str, kind: str
) -> None:
    body = {"texts": TEXTS, "kind": kind}
    response = client.post("/encode", json=body, headers={"accept": accept})
    assert response.headers["content-type"] == accept
    local = encoder.encode_queries(TEXTS) if kind == "query" else encoder.encode_documents(TEXTS)
    assert_close(_outputs(response), local)


@pytest.mark.parametrize("reps", [[rep] for rep in REPS] + [["dense", "colbert"]])
def test_only_what_is_asked_for_is_there(client: httpx.Client, reps: list[Rep]) -> None:
    response = client.post("/encode", json={"texts": TEXTS, "reps": reps})
    assert all(output.reps == set(reps) for output in _outputs(response))


@pytest.mark.parametrize("accept", FORMATS)
def test_half_precision_is_rounded_and_half_the_size_in_binary(
    client: httpx.Client, encoder: TorchEncoder, accept: str
) -> None:
    body = {"texts": TEXTS, "dtype": "float16", "reps": ["dense", "colbert"]}
    half = client.post("/encode", json=body, headers={"accept": accept})
    whole = client.post("/encode", json=body | {"dtype": "float32"}, headers={"accept": accept})
    assert_close(_outputs(half), encoder.encode_documents(TEXTS, ["dense", "colbert"]), 5e-4)
    assert accept == "application/json" or len(half.content) < 0.65 * len(whole.content)


def test_the_answer_says_which_model_how_many_tokens_and_what_was_cut(
    client: httpx.Client, encoder: TorchEncoder
) -> None:
    body = {"texts": [" ".join(["table"] * (LONGEST + 1)), "a table"], "reps": ["sparse"]}
    answer = client.post("/encode", json=body).json()
    assert (answer["model"], answer["truncated"], answer["longest"]) == (
        encoder.model,
        1,
        LONGEST + 3,
    )
    assert answer["tokens"] == LONGEST + len(encoder.document_tokens("a table"))


def test_a_limit_on_the_tokens_of_a_text(client: httpx.Client, encoder: TorchEncoder) -> None:
    body = {"texts": ["a table with rows"] * 4, "max_length": 4}
    local = encoder.encode_documents(["a table with rows"] * 4, max_length=4)
    assert_close(_outputs(client.post("/encode", json=body)), local)


def test_no_texts_are_no_outputs(client: httpx.Client) -> None:
    answer = client.post("/encode", json={"texts": []})
    assert (answer.status_code, answer.json()["data"]) == (200, [])


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "texts: Field required"),
        ({"texts": "a table"}, "texts: Input should be a valid list"),
        ({"texts": ["a", 7]}, "texts.1: Input should be a valid string"),
        ({"texts": ["a"], "reps": []}, "reps names at least one of dense, sparse, colbert"),
        ({"texts": ["a"], "reps": ["dens"]}, "reps.0: Input should be 'dense'"),
        ({"texts": ["a"], "max_length": 2}, "max_length: Input should be greater than or equal"),
        ({"texts": ["a"], "colour": "red"}, "colour: Extra inputs are not permitted"),
    ],
)
def test_what_is_wrong_is_named_and_no_text_is_repeated(
    client: httpx.Client, body: dict[str, Any], message: str
) -> None:
    response = client.post("/encode", json=body)
    assert response.status_code == 422
    error = response.json()["error"]
    assert error["message"].startswith(message)
    assert error["type"] == "validation"


def test_a_representation_that_the_model_lacks(serve: Serve, letters: Letters) -> None:
    response = httpx.post(f"{serve(letters)}/encode", json={"texts": ["a"], "reps": ["sparse"]})
    assert response.status_code == 424
    assert "gives no sparse vectors" in response.json()["error"]["message"]


def test_any_encoder_can_be_served(serve: Serve, letters: Letters) -> None:
    with httpx.Client(base_url=serve(letters)) as client:
        for kind, first in (("query", 0.6), ("document", 0.8)):
            answer = client.post("/encode", json={"texts": ["a", "b"], "kind": kind}).json()
            assert [round(entry["dense"][0], 6) for entry in answer["data"]] == [first, first]
        assert client.post("/tokenize", json={"inputs": "a"}).status_code == 424
        refused = client.post("/encode", json={"texts": ["a"], "max_length": 8})
        assert refused.json()["error"]["message"] == "this encoder takes no max_length"
