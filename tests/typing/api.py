"""What users write, type-checked and never run."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import assert_type

from langchain_core.documents import Document as LangChainDocument

from m3kit import (
    CachedEncoder,
    Document,
    Encoder,
    Eq,
    Filter,
    Hit,
    HybridIndex,
    M3Output,
    MemoryIndex,
    OpenedIndex,
    Range,
    Record,
    Rep,
    Retriever,
    Search,
    WeightedSum,
    WithColbert,
    open_index,
)
from m3kit.torch import TorchEncoder
from m3kit_langchain import M3Embeddings
from m3kit_langchain import M3VectorStore as LangChainStore
from m3kit_llama_index import M3VectorStore as LlamaIndexStore


def every_encoder_fits_the_protocol() -> Encoder:
    encoder: Encoder = TorchEncoder.from_pretrained("tiny")
    encoder = CachedEncoder(encoder)
    assert_type(encoder.encode_queries(["a"]), list[M3Output])
    return encoder


def every_index_fits_the_protocol(encoder: Encoder) -> HybridIndex:
    index: HybridIndex = WithColbert(MemoryIndex(4), encoder)
    with open_index(Path("dir")) as opened:
        assert_type(opened, OpenedIndex)
        index.upsert(list(opened.scan(None, opened.reps)))
    return index


def the_frameworks_stores_open_an_address(encoder: Encoder) -> None:
    documents = [LangChainDocument("a")]
    with LangChainStore.from_documents(documents, M3Embeddings(), index="papers") as store:
        assert_type(store, LangChainStore)
    with LangChainStore(encoder, Path("papers")) as store:
        assert_type(store.index, HybridIndex)
    with LlamaIndexStore(encoder, "papers") as nodes:
        assert_type(nodes, LlamaIndexStore)


def filters_combine() -> Filter:
    where: Filter = (Eq("a", 1) & Range("b", ge=1.5)) | ~Eq("c", value=True)
    return where


def metadata_is_any_json() -> Document:
    metadata: dict[str, str] = {"a": "b"}
    nested = {"a": [1, 2.0, None, {"b": [True]}]}
    return Document("a", "b", metadata) or Document("a", "b", nested)


def a_reranker_is_any_callable(encoder: Encoder, index: HybridIndex) -> list[Hit]:
    def lengths(query: str, texts: Sequence[str]) -> list[float]:
        return [float(len(text) - len(query)) for text in texts]

    retriever = Retriever(encoder, index, reranker=lengths)
    return retriever.search("a", k=3, fusion=WeightedSum(), reps=["dense", "sparse"])


class CustomIndex:
    """Fits by its shape; there is nothing to inherit."""

    reps: frozenset[Rep] = frozenset({"dense"})
    model: str | None = None

    def upsert(self, records: Sequence[Record], /) -> None:
        raise NotImplementedError

    def search(self, search: Search, /) -> list[Hit]:
        raise NotImplementedError

    def get(self, ids: Sequence[str], /, reps: Collection[Rep] = ()) -> list[Record]:
        raise NotImplementedError

    def scan(self, where: Filter | None = None, /, reps: Collection[Rep] = ()) -> Iterator[Record]:
        raise NotImplementedError

    def delete(self, ids: Sequence[str], /) -> None:
        raise NotImplementedError

    def delete_where(self, where: Filter, /) -> None:
        raise NotImplementedError

    def count(self, where: Filter | None = None, /) -> int:
        raise NotImplementedError

    def flush(self) -> None:
        raise NotImplementedError


custom: HybridIndex = CustomIndex()
