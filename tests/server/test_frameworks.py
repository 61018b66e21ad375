"""Embeddings of both frameworks whose model is behind a URL."""

from __future__ import annotations

import asyncio
import pickle
from typing import Any

import pytest
from llama_index.core.schema import TextNode
from tests.server.conftest import Letters, Serve

import m3kit_llama_index as li
from m3kit import MemoryIndex, ModelMismatchError, RepresentationError
from m3kit.remote import RemoteError
from m3kit.torch import TorchEncoder
from m3kit_langchain import M3Embeddings, M3VectorStore

TEXTS = ["Insert rows and columns.", "Zeilen einfügen"]
KEY = "a secret"


def test_langchains_embeddings_are_those_of_the_model(url: str, encoder: TorchEncoder) -> None:
    there, here = M3Embeddings(url=url), M3Embeddings(encoder=encoder)
    for mine, true in zip(there.embed_documents(TEXTS), here.embed_documents(TEXTS), strict=True):
        assert mine == pytest.approx(true, abs=1e-6)
    assert there.embed_query("rows") == pytest.approx(here.embed_query("rows"), abs=1e-6)
    assert there.model_name == here.model_name


def test_llama_indexs_embeddings_are_those_of_the_model(url: str, encoder: TorchEncoder) -> None:
    there, here = li.M3Embedding(url=url), li.M3Embedding(encoder)
    assert there.get_text_embedding(TEXTS[0]) == pytest.approx(
        here.get_text_embedding(TEXTS[0]), abs=1e-6
    )
    assert (there.model_name, there.url) == (encoder.model, url)
    sparse = li.M3SparseEmbedding(url=url).get_query_embedding("rows")
    assert sparse == pytest.approx(
        li.M3SparseEmbedding(encoder).get_query_embedding("rows"), abs=1e-6
    )


def test_a_store_over_it_has_all_three_representations(url: str) -> None:
    embeddings = M3Embeddings(url=url)
    store = M3VectorStore.from_texts(TEXTS, embeddings)
    assert store.index.reps == {"dense", "sparse", "colbert"}
    (found,) = store.similarity_search(TEXTS[1], k=1)
    assert found.page_content == TEXTS[1]
    nodes = li.M3VectorStore(embeddings.encoder, MemoryIndex(encoder=embeddings.encoder))
    assert nodes.add([TextNode(id_="a", text=TEXTS[0])]) == ["a"]


def test_calls_of_both_may_be_asynchronous(url: str, encoder: TorchEncoder) -> None:
    """Many at a time, while the loop goes on."""
    queries = [f"row {n}" for n in range(12)]
    langchain, llama = M3Embeddings(url=url), li.M3Embedding(url=url)

    async def embed() -> tuple[list[list[float]], list[list[float]], int]:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0)
                ticks += 1

        clock = asyncio.create_task(tick())
        answers = await asyncio.gather(
            asyncio.gather(*(langchain.aembed_query(query) for query in queries)),
            asyncio.gather(*(llama.aget_query_embedding(query) for query in queries)),
        )
        clock.cancel()
        return *answers, ticks

    first, second, ticks = asyncio.run(embed())
    for mine, other, true in zip(first, second, encoder.encode_queries(queries), strict=True):
        assert true.dense is not None
        assert mine == pytest.approx(true.dense.tolist(), abs=1e-6)
        assert other == pytest.approx(true.dense.tolist(), abs=1e-6)
    assert ticks > len(queries)


def test_a_key_is_shown_to_the_server_and_to_nobody_else(serve: Serve, letters: Letters) -> None:
    url = serve(letters, api_key=KEY)
    embedding = li.M3Embedding(url=url, api_key=KEY)
    for embeddings in (M3Embeddings(url=url, api_key=KEY), embedding):
        assert KEY not in repr(embeddings) + str(vars(embeddings))
        copy = pickle.loads(pickle.dumps(embeddings))  # noqa: S301  # our own
        assert KEY not in repr(copy)
    assert copy.get_query_embedding("a") == pytest.approx([0.6, 0.8])
    data = embedding.to_dict()
    assert KEY not in str(data)
    assert li.M3Embedding.from_dict(data, api_key=KEY).url == url
    for make in (M3Embeddings, li.M3Embedding, li.M3SparseEmbedding):
        with pytest.raises(RemoteError, match=r"401.*pass api_key="):
            make(url=url)
    with pytest.raises(RepresentationError, match="no sparse"):
        li.M3SparseEmbedding(url=url, api_key=KEY)


@pytest.mark.parametrize(
    ("make", "options", "why"),
    [
        (M3Embeddings, {"model_name": "tiny"}, "model_name would load a model"),
        (M3Embeddings, {"model_kwargs": {"device": "cpu"}}, "model_kwargs would load a model"),
        (M3Embeddings, {"query_instruction": "find "}, "query_instruction would load a model"),
        (M3Embeddings, {"encoder": Letters()}, "an encoder is given"),
        (li.M3Embedding, {"device": "cpu"}, "device would load a model"),
        (li.M3Embedding, {"encoder": Letters()}, "an encoder is given"),
        (li.M3SparseEmbedding, {"device": "cpu"}, "device would load a model"),
    ],
)
def test_what_loads_a_model_is_refused(
    make: Any, options: dict[str, Any], why: str, url: str
) -> None:
    with pytest.raises(TypeError, match=why):
        make(url=url, **options)


def test_a_key_without_a_url_and_a_url_with_a_key(url: str) -> None:
    for make in (M3Embeddings, li.M3Embedding):
        with pytest.raises(TypeError, match="give url="):
            make(api_key=KEY)
        for secret in (url.replace("//", f"//me:{KEY[2:]}@"), f"{url}?api_key={KEY[2:]}"):
            with pytest.raises(RemoteError, match="pass api_key=") as raised:
                make(url=secret)
            assert KEY[2:] not in str(raised.value)


def test_a_server_of_other_weights_is_refused(url: str, encoder: TorchEncoder) -> None:
    assert li.M3Embedding(url=url, model_name=encoder.model).model_name == encoder.model
    with pytest.raises(ModelMismatchError, match=f"what {url} serves"):
        li.M3Embedding(url=url, model_name="BAAI/bge-m3@00000001")
