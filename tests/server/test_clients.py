"""The clients of other servers, as they are installed, against a real server."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import numpy as np
import openai
import pytest
from huggingface_hub import AsyncInferenceClient, InferenceClient
from langchain_openai import OpenAIEmbeddings
from llama_index.embeddings.openai import OpenAIEmbedding
from llama_index.embeddings.text_embeddings_inference import (
    TextEmbeddingsInference,
)
from pydantic import SecretStr
from tests.processes import until
from tests.server.conftest import Letters, Serve, serving
from tests.shipped import WIDTH

from m3kit.server import Limits, create_app
from m3kit.torch import TorchEncoder

TEXTS = ["a table", "Zeilen und Spalten einfügen", "在文本文档的表格中插入行和列。"]
KEY = "s3cret"

pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(autouse=True, scope="module")
def _collected() -> Iterator[None]:
    """Some clients leave their connections to the collector; it finds them here."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture(scope="module")
def dense(encoder: TorchEncoder) -> Any:
    return np.array([output.dense for output in encoder.encode_documents(TEXTS, ["dense"])])


@pytest.fixture(scope="module")
def guarded(encoder: TorchEncoder) -> Iterator[str]:
    with serving(create_app(encoder, api_key=KEY)) as address:
        yield address


def same(vectors: Any, dense: Any) -> None:
    np.testing.assert_allclose(np.array(vectors), dense, rtol=0, atol=1e-6)


class TestOpenAI:
    @pytest.mark.parametrize("options", [{}, {"encoding_format": "float"}])
    def test_embeddings(self, guarded: str, dense: Any, options: dict[str, str]) -> None:
        with openai.OpenAI(base_url=f"{guarded}/v1", api_key=KEY) as client:
            answer = client.embeddings.create(input=TEXTS, model="bge-m3", **options)  # type: ignore[arg-type]  # a literal
        same([row.embedding for row in answer.data], dense)
        assert [row.index for row in answer.data] == [0, 1, 2]
        assert answer.usage.prompt_tokens == answer.usage.total_tokens > 9

    async def test_asynchronously_and_one_text(self, guarded: str, dense: Any) -> None:
        async with openai.AsyncOpenAI(base_url=f"{guarded}/v1", api_key=KEY) as client:
            answer = await client.embeddings.create(input=TEXTS[0], model="bge-m3")
        same([answer.data[0].embedding], dense[:1])

    def test_models(self, guarded: str, encoder: TorchEncoder) -> None:
        with openai.OpenAI(base_url=f"{guarded}/v1", api_key=KEY) as client:
            assert [model.id for model in client.models.list()] == [encoder.model]

    def test_errors_are_those_that_it_knows(self, guarded: str, url: str) -> None:
        wrong = openai.OpenAI(base_url=f"{guarded}/v1", api_key="wrong")
        with wrong as client, pytest.raises(openai.AuthenticationError, match="Bearer"):
            client.embeddings.create(input=TEXTS, model="bge-m3")
        with openai.OpenAI(base_url=f"{url}/v1", api_key="any") as client:
            with pytest.raises(openai.UnprocessableEntityError, match=f"{WIDTH} dimensions"):
                client.embeddings.create(input=TEXTS, model="bge-m3", dimensions=64)
            with pytest.raises(openai.BadRequestError, match="check_embedding_ctx_length=False"):
                client.embeddings.create(input=[[1, 2]], model="bge-m3")

    def test_it_tries_a_full_server_again(self, serve: Serve, letters: Letters) -> None:
        address = serve(letters, limits=Limits(requests=1))
        letters.hold()
        client = openai.OpenAI(base_url=f"{address}/v1", api_key="any", max_retries=9)
        with ThreadPoolExecutor(2) as threads, client:
            first = threads.submit(httpx.post, f"{address}/embed", json={"inputs": "a"})
            assert letters.entered.wait(30)
            second = threads.submit(client.embeddings.create, input="a", model="letters")
            refused = 'path="/v1/embeddings",status="503"'
            until(lambda: refused in httpx.get(f"{address}/metrics").text)
            letters.free.set()
            assert first.result().status_code == 200
            assert len(second.result().data) == 1


class TestLangChain:
    def test_openai_embeddings(self, guarded: str, dense: Any) -> None:
        embeddings = OpenAIEmbeddings(
            model="bge-m3",
            base_url=f"{guarded}/v1",
            api_key=SecretStr(KEY),
            check_embedding_ctx_length=False,
        )
        same(embeddings.embed_documents(TEXTS), dense)
        same([embeddings.embed_query(TEXTS[0])], dense[:1])

    async def test_asynchronously(self, guarded: str, dense: Any) -> None:
        embeddings = OpenAIEmbeddings(
            model="bge-m3",
            base_url=f"{guarded}/v1",
            api_key=SecretStr(KEY),
            check_embedding_ctx_length=False,
        )
        same(await embeddings.aembed_documents(TEXTS), dense)


class TestLlamaIndex:
    def test_openai_embedding(self, guarded: str, dense: Any) -> None:
        embedding = OpenAIEmbedding(model_name="bge-m3", api_base=f"{guarded}/v1", api_key=KEY)
        same(embedding.get_text_embedding_batch(TEXTS), dense)
        same([embedding.get_query_embedding(TEXTS[0])], dense[:1])

    def test_text_embeddings_inference(self, guarded: str, dense: Any) -> None:
        embedding = TextEmbeddingsInference("BAAI/bge-m3", base_url=guarded, auth_token=KEY)
        same(embedding.get_text_embedding_batch(TEXTS), dense)
        same([embedding.get_query_embedding(TEXTS[0])], dense[:1])

    async def test_asynchronously(self, guarded: str, dense: Any) -> None:
        embedding = TextEmbeddingsInference("BAAI/bge-m3", base_url=guarded, auth_token=KEY)
        same(await embedding.aget_text_embedding_batch(TEXTS), dense)


class TestHuggingFace:
    @pytest.mark.parametrize("path", ["", "/embed"])
    def test_feature_extraction(self, guarded: str, dense: Any, path: str) -> None:
        client = InferenceClient(f"{guarded}{path}", token=KEY)
        same(client.feature_extraction(TEXTS[0]), dense[:1])
        same(client.feature_extraction(TEXTS[0], truncate=True, normalize=True), dense[:1])

    async def test_asynchronously(self, guarded: str, dense: Any) -> None:
        async with AsyncInferenceClient(f"{guarded}/embed", token=KEY) as client:
            same(await client.feature_extraction(TEXTS[0]), dense[:1])
