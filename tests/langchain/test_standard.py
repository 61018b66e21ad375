"""LangChain's own suites, none of their tests overridden."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, TypeAlias

import pytest
from langchain_core.embeddings import Embeddings
from langchain_core.retrievers import BaseRetriever
from langchain_core.vectorstores import VectorStore
from langchain_tests.integration_tests import (
    EmbeddingsIntegrationTests,
    RetrieversIntegrationTests,
    VectorStoreIntegrationTests,
)
from langchain_tests.unit_tests import EmbeddingsUnitTests

from m3kit import CachedEncoder, Encoder, HybridIndex, MemoryIndex, Retriever
from m3kit.testing import DOCUMENTS, HashEncoder
from m3kit_langchain import EmbeddingsEncoder, M3Embeddings, M3Retriever, M3VectorStore

Opened: TypeAlias = Callable[[Encoder], AbstractContextManager[HybridIndex]]


class TestEmbeddingsUnit(EmbeddingsUnitTests):
    @property
    def embeddings_class(self) -> type[Embeddings]:
        return M3Embeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return {"model_name": "tiny"}


class TestEmbeddingsIntegration(EmbeddingsIntegrationTests):
    @property
    def embeddings_class(self) -> type[Embeddings]:
        return M3Embeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return {"model_name": "tiny"}


class TestRetriever(RetrieversIntegrationTests):
    @property
    def retriever_constructor(self) -> type[BaseRetriever]:
        return M3Retriever

    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        index = MemoryIndex()
        Retriever(HashEncoder(), index).add(DOCUMENTS)
        return {"encoder": HashEncoder(), "index": index}

    @property
    def retriever_query_example(self) -> str:
        return "the growling bear"


class TestDense(VectorStoreIntegrationTests):
    @pytest.fixture
    def vectorstore(self, open_index: Opened) -> Iterator[VectorStore]:
        encoder = EmbeddingsEncoder(self.get_embeddings())
        with open_index(encoder) as index:
            yield M3VectorStore(encoder, index)


class TestDenseAndSparse(VectorStoreIntegrationTests):
    @pytest.fixture
    def vectorstore(self, open_index: Opened) -> Iterator[VectorStore]:
        encoder = CachedEncoder(HashEncoder(), reps=("dense", "sparse"))
        with open_index(encoder) as index:
            yield M3VectorStore(encoder, index)


class TestAllThree(VectorStoreIntegrationTests):
    @pytest.fixture
    def vectorstore(self, open_index: Opened) -> Iterator[VectorStore]:
        with open_index(HashEncoder()) as index:
            yield M3VectorStore(HashEncoder(), index)
