"""Milvus's rows of `stores.py`: Milvus Lite in this process, and a server where there is one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

from benchmarks.stores import (
    CANDIDATES,
    DIM,
    Contender,
    Corpus,
    Engines,
    K,
    M3kit,
    check_rrf,
)
from langchain_core.embeddings import Embeddings
from langchain_milvus import Milvus
from langchain_milvus.utils.sparse import BaseSparseEmbedding
from milvus_lite.server_manager import server_manager_instance
from pymilvus import AnnSearchRequest, DataType, Function, FunctionType, MilvusClient, RRFRanker

from m3kit import Fusion, M3Output, Rep
from m3kit.scoring import require
from m3kit_milvus import MilvusIndex

_URL = os.environ.get("M3KIT_MILVUS_URL", "")
_FLUSHED = 1_000
"""Milvus Lite searches rows that are not flushed at a hundredth of the speed."""

_INDEXES: dict[Rep, dict[str, str]] = {
    "dense": {"index_type": "FLAT", "metric_type": "IP"},
    "sparse": {"index_type": "SPARSE_INVERTED_INDEX", "metric_type": "IP"},
}
_BY = {"metric_type": "IP"}
_FIELDS = ["id", "text", "metadata"]


@contextmanager
def _connected(folder: Path, url: str) -> Iterator[tuple[MilvusClient, str, str]]:
    """Give a client, where it is connected to, and the name of a collection that is dropped."""
    folder.mkdir(parents=True, exist_ok=True)
    uri, name = url or str(folder / "stores.db"), f"m3kit_{uuid4().hex}"
    client = MilvusClient(uri)
    yield client, uri, name
    client.drop_collection(name)
    client.close()
    if not url:
        server_manager_instance.release_server(uri)


@contextmanager
def ours(folder: Path, reps: tuple[Rep, ...], *, url: str) -> Iterator[Contender]:
    """Open m3kit's index."""
    available = [rep for rep in reps if url or rep in _INDEXES]
    with _connected(folder, url) as (client, _, name):
        yield _Able(MilvusIndex(client, name, dim=DIM, reps=available))


class _Able(M3kit):
    """An index that says by a KeyError what it cannot search."""

    def search(self, query: M3Output, fusion: Fusion) -> list[str]:
        """Search by RRF."""
        if not query.reps <= self.index.reps:
            raise KeyError(*(query.reps - self.index.reps))
        return super().search(query, fusion)


@dataclass(slots=True)
class RawClient:
    """`pymilvus` itself, as its documentation uses it."""

    client: MilvusClient
    name: str
    unflushed: int = 0

    def insert(self, batch: Corpus) -> None:
        """Write a batch."""
        rows = [
            {
                "id": document.id,
                "text": document.text,
                "metadata": dict(document.metadata),
                "dense": output.dense,
                "sparse": require(output.sparse, "sparse").to_dict(),
            }
            for document, output in zip(batch.documents, batch.outputs, strict=True)
        ]
        self.client.upsert(self.name, rows)
        self.unflushed += len(rows)
        if self.unflushed >= _FLUSHED:
            self.finish()

    def finish(self) -> None:
        """Flush."""
        self.client.flush(self.name)
        self.unflushed = 0

    def search(self, query: M3Output, fusion: Fusion) -> list[str]:
        """Search by one branch, or fuse two in one request."""
        check_rrf(query, fusion)
        vectors = {rep: _vector(query, rep) for rep in ("dense", "sparse") if rep in query.reps}
        if "colbert" in query.reps:
            raise KeyError("colbert")
        if len(vectors) == 1:
            ((rep, vector),) = vectors.items()
            (hits,) = self.client.search(
                self.name,
                data=[vector],
                anns_field=rep,
                search_params=_BY,
                limit=K,
                output_fields=_FIELDS,
            )
        else:
            branches = [
                AnnSearchRequest([vector], rep, _BY, CANDIDATES) for rep, vector in vectors.items()
            ]
            (hits,) = self.client.hybrid_search(
                self.name, branches, RRFRanker(60), K, output_fields=_FIELDS
            )
        return [hit["id"] for hit in hits]


@contextmanager
def raw_client(folder: Path, reps: tuple[Rep, ...], *, url: str) -> Iterator[Contender]:
    """Make a collection by the client alone."""
    with _connected(folder, url) as (client, _, name):
        schema = client.create_schema(auto_id=False)
        schema.add_field("id", DataType.VARCHAR, is_primary=True, max_length=128)
        schema.add_field("text", DataType.VARCHAR, max_length=65_535)
        schema.add_field("metadata", DataType.JSON)
        schema.add_field("dense", DataType.FLOAT_VECTOR, dim=DIM)
        schema.add_field("sparse", DataType.SPARSE_FLOAT_VECTOR)
        params = client.prepare_index_params()
        for rep in _INDEXES.keys() & reps:
            params.add_index(rep, **_INDEXES[rep])
        client.create_collection(name, schema=schema, index_params=params)
        yield RawClient(client, name)


@dataclass(slots=True)
class _Known(Embeddings):
    """Vectors that are known already, in LangChain's words."""

    outputs: dict[str, M3Output] = field(default_factory=dict)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        vector: list[float] = require(self.outputs[text].dense, "dense").tolist()
        return vector


class _KnownSparse(BaseSparseEmbedding):
    def __init__(self, known: _Known) -> None:
        self.known = known

    def embed_documents(self, texts: list[str]) -> list[dict[int, float]]:
        return [self.embed_query(text) for text in texts]

    def embed_query(self, query: str) -> dict[int, float]:
        return require(self.known.outputs[query].sparse, "sparse").to_dict()


@dataclass(slots=True)
class LangChain:
    """`langchain-milvus`, in its hybrid mode, which is its only one with both vectors."""

    store: Milvus
    known: _Known
    unflushed: int = 0

    def insert(self, batch: Corpus) -> None:
        """Write a batch."""
        texts = [document.text for document in batch.documents]
        self.known.outputs = dict(zip(texts, batch.outputs, strict=True))
        self.store.add_texts(
            texts,
            [dict(document.metadata) for document in batch.documents],
            ids=[document.id for document in batch.documents],
        )
        self.unflushed += len(texts)
        if self.unflushed >= _FLUSHED:
            self.finish()

    def finish(self) -> None:
        """Flush."""
        self.store.client.flush(self.store.collection_name)
        self.unflushed = 0

    def search(self, query: M3Output, fusion: Fusion) -> list[str]:
        """Search by both."""
        check_rrf(query, fusion)
        if query.reps != {"dense", "sparse"}:
            raise KeyError(*query.reps)
        self.known.outputs = {"": query}
        ranker = Function("rrf", FunctionType.RERANK, [], params={"reranker": "rrf", "k": 60})
        documents = self.store.similarity_search(
            "", k=K, fetch_k=CANDIDATES, param=[_BY, _BY], reranker=ranker
        )
        return [str(document.metadata["pk"]) for document in documents]


@contextmanager
def langchain(folder: Path, _: tuple[Rep, ...], *, url: str) -> Iterator[Contender]:
    """Open LangChain's store."""
    known = _Known()
    with _connected(folder, url) as (_client, uri, name):
        store = Milvus(
            [known, _KnownSparse(known)],
            collection_name=name,
            vector_field=["dense", "sparse"],
            enable_dynamic_field=True,
            connection_args={"uri": uri},
            index_params=list(_INDEXES.values()),
        )
        yield LangChain(store, known)


def _vector(query: M3Output, rep: Rep) -> Any:
    return query.dense if rep == "dense" else require(query.sparse, "sparse").to_dict()


def _contenders(url: str) -> Any:
    return {
        "m3kit": partial(ours, url=url),
        "client": partial(raw_client, url=url),
        "langchain-milvus": partial(langchain, url=url),
    }


ENGINES: Engines = {"Milvus Lite": _contenders("")}
if _URL:
    ENGINES["Milvus server"] = _contenders(_URL)
