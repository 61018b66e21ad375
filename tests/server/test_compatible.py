"""The endpoints of other servers, in their own words."""

from __future__ import annotations

import base64
from typing import Any

import httpx
import numpy as np
import pytest
from tests.server.conftest import Serve
from tests.shipped import LONGEST

from m3kit.torch import TorchEncoder
from m3kit.vectors import M3Output

TEXTS = ["a table of tables", "", "Zeilen"]


@pytest.fixture(scope="module")
def outputs(encoder: TorchEncoder) -> list[M3Output]:
    return encoder.encode_documents(TEXTS)


def _sparse(items: list[dict[str, Any]], index: str, value: str) -> dict[int, Any]:
    return {item[index]: pytest.approx(item[value], abs=1e-6) for item in items}


class TestTei:
    def test_sparse_values(self, client: httpx.Client, outputs: list[M3Output]) -> None:
        answer = client.post("/embed_sparse", json={"inputs": TEXTS}).json()
        found = [_sparse(items, "index", "value") for items in answer]
        assert found == [output.sparse.to_dict() for output in outputs if output.sparse is not None]

    @pytest.mark.parametrize("path", ["/embed", "/embed_sparse", "/"])
    def test_one_text_is_a_list_of_one(self, client: httpx.Client, path: str) -> None:
        one, several = (client.post(path, json={"inputs": i}) for i in ("a", ["a"]))
        assert one.json() == several.json()
        assert len(one.json()) == 1

    def test_a_long_text_is_cut_unless_that_is_forbidden(
        self, serve: Serve, of_128: TorchEncoder
    ) -> None:
        long = "table " * 129
        with httpx.Client(base_url=serve(of_128)) as client:
            for options in ({}, {"truncate": True}):
                answer = client.post("/embed", json={"inputs": long, **options})
                assert answer.status_code == 200
            refused = client.post("/embed", json={"inputs": long, "truncate": False})
        assert (refused.status_code, refused.json()["error_type"]) == (413, "validation")

    def test_the_prompt_of_queries(self, client: httpx.Client, encoder: TorchEncoder) -> None:
        answer = client.post("/embed", json={"inputs": ["a"], "prompt_name": "query"}).json()
        (query,) = encoder.encode_queries(["a"], ["dense"])
        np.testing.assert_allclose(answer[0], query.dense, atol=1e-6)  # type: ignore[arg-type]  # there

    @pytest.mark.parametrize(
        ("path", "body", "status"),
        [
            ("/embed", {"inputs": []}, 422),
            ("/embed", {"inputs": "a", "normalize": False}, 424),
            ("/embed", {"inputs": "a", "truncation_direction": "Left"}, 422),
            ("/rerank", {"query": "a"}, 422),
            ("/tokenize", {"inputs": "a", "add_special_tokens": False}, 422),
        ],
    )
    def test_what_it_cannot_do(
        self, client: httpx.Client, path: str, body: dict[str, Any], status: int
    ) -> None:
        response = client.post(path, json=body)
        assert response.status_code == status
        assert set(response.json()) == {"error", "error_type"}

    def test_its_information(self, client: httpx.Client, encoder: TorchEncoder) -> None:
        info = client.get("/info").json()
        assert (info["model_id"], info["max_input_length"]) == ("tiny", LONGEST)
        assert {"version", "max_client_batch_size", "max_batch_tokens"} <= set(info)
        assert (info["model"], info["dim"]) == (encoder.model, encoder.dim)

    def test_tokens(self, client: httpx.Client, encoder: TorchEncoder) -> None:
        (tokens,) = client.post("/tokenize", json={"inputs": TEXTS[0]}).json()
        pairs = [(token["id"], token["text"]) for token in tokens]
        assert pairs == encoder.document_tokens(TEXTS[0])
        assert [token["special"] for token in tokens[:2] + tokens[-1:]] == [True, False, True]


class TestVllm:
    @pytest.mark.parametrize("task", ["dense", "sparse", "dense&sparse"])
    def test_its_plugin_for_m3(
        self, client: httpx.Client, outputs: list[M3Output], task: str
    ) -> None:
        body = {"model": "any", "task": "plugin", "data": {"input": TEXTS, "embed_task": task}}
        answer = client.post("/pooling", json=body).json()
        assert answer["request_id"].startswith("pool-")
        assert answer["data"]["usage"]["prompt_tokens"] > 5
        for n, (row, output) in enumerate(zip(answer["data"]["data"], outputs, strict=True)):
            assert (row["index"], row["object"]) == (n, task)
            assert (row["dense_embedding"] is None) == (task == "sparse")
            assert (row["sparse_embedding"] is None) == (task == "dense")
            if row["dense_embedding"] is not None:
                np.testing.assert_allclose(row["dense_embedding"], output.dense, atol=1e-6)  # type: ignore[arg-type]  # there
            if row["sparse_embedding"] is not None:
                weights = _sparse(row["sparse_embedding"], "token_id", "weight")
                assert output.sparse is not None
                assert weights == output.sparse.to_dict()

    def test_tokens_are_spelled_on_demand(
        self, client: httpx.Client, encoder: TorchEncoder
    ) -> None:
        data = {"input": TEXTS[0], "return_tokens": True}
        answer = client.post("/pooling", json={"task": "token_classify", "data": data}).json()
        (row,) = answer["data"]["data"]
        spelled = dict(encoder.document_tokens(TEXTS[0]))
        assert row["object"] == "sparse"
        for item in row["sparse_embedding"]:
            assert item["token"] == spelled[item["token_id"]]


class TestOpenAI:
    def test_base64_is_float32(self, client: httpx.Client, outputs: list[M3Output]) -> None:
        body = {"input": TEXTS, "encoding_format": "base64"}
        for row, output in zip(
            client.post("/v1/embeddings", json=body).json()["data"], outputs, strict=True
        ):
            dense = np.frombuffer(base64.b64decode(row["embedding"]), "<f4")
            np.testing.assert_allclose(dense, output.dense, atol=1e-6)  # type: ignore[arg-type]  # there

    @pytest.mark.parametrize("wrong", [[], [1, 2], [[1]], 7, None])
    def test_inputs_that_are_no_texts(self, client: httpx.Client, wrong: Any) -> None:
        response = client.post("/v1/embeddings", json={"input": wrong})
        assert response.status_code in {400, 422}
