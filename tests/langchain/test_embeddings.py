from __future__ import annotations

import asyncio
import os
import pickle
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Sequence
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from langchain_core.embeddings import DeterministicFakeEmbedding, Embeddings
from tests.langchain.conftest import Counted
from tests.torch.random_checkpoint import TINY

from m3kit import M3Output, ModelMismatchError, Rep, RepresentationError
from m3kit.testing import HashEncoder
from m3kit.torch import CheckpointError, TorchEncoder
from m3kit_langchain import EmbeddingsEncoder, M3Embeddings, M3VectorStore, to_encoder
from m3kit_langchain.hugging_face import MODEL_KWARGS

FAKE = DeterministicFakeEmbedding(size=6)


def test_vectors_are_the_encoders_own_in_pythons_floats() -> None:
    encoder = TorchEncoder.from_pretrained("tiny")
    embeddings = M3Embeddings(encoder=encoder)
    query, document = embeddings.embed_query("wolf"), embeddings.embed_documents(["wolf", ""])
    (query_output,), outputs = (
        encoder.encode_queries(["wolf"]),
        encoder.encode_documents(["wolf", ""]),
    )
    assert query_output.dense is not None
    assert query == query_output.dense.tolist()
    assert document == [output.dense.tolist() for output in outputs if output.dense is not None]
    assert all(type(number) is float for number in query)
    assert embeddings.embed_documents([]) == []


def test_only_dense_is_computed() -> None:
    class Dense(HashEncoder):
        def encode_documents(
            self, texts: Sequence[str], reps: Collection[Rep] | None = None
        ) -> list[M3Output]:
            assert reps is not None
            assert set(reps) == {"dense"}
            return super().encode_documents(texts, reps)

    assert M3Embeddings(encoder=Dense()).embed_documents(["a", "b"])


def test_arguments_are_those_of_hugging_face_bge_embeddings() -> None:
    embeddings = M3Embeddings(
        model_name="tiny",
        model_kwargs={"device": "cpu"},
        encode_kwargs={"normalize_embeddings": True, "batch_size": 2},
        query_instruction="query: ",
        embed_instruction="passage: ",
    )
    plain = M3Embeddings(model_name="tiny")
    assert embeddings.embed_query("wolf") == plain.embed_query("query: wolf")
    assert embeddings.embed_documents(["wolf"]) == plain.embed_documents(["passage: wolf"])
    assert np.linalg.norm(embeddings.embed_query("wolf")) == pytest.approx(1)


def test_what_hugging_face_embeddings_take_and_changes_nothing_is_taken() -> None:
    embeddings = M3Embeddings(
        model="tiny",
        model_kwargs={"trust_remote_code": False, "local_files_only": False, "token": None},
        encode_kwargs={"convert_to_numpy": True, "show_progress_bar": False, "batch_size": 4},
        query_encode_kwargs={"normalize_embeddings": True, "prompt": "query: "},
        multi_process=False,
    )
    plain = M3Embeddings(model_name="tiny")
    assert embeddings.embed_query("wolf") == plain.embed_query("query: wolf")
    assert embeddings.embed_documents(["wolf"]) == plain.embed_documents(["wolf"])
    with pytest.raises(ValueError, match="normalize_embeddings"):
        M3Embeddings(model="tiny", query_encode_kwargs={"normalize_embeddings": False})


def test_the_name_of_the_model() -> None:
    assert M3Embeddings(model_name="tiny").model_name == "tiny"
    assert M3Embeddings(encoder=HashEncoder()).model_name == "hash"
    encoder = TorchEncoder.from_pretrained("tiny")
    assert M3Embeddings(encoder=encoder).model_name == "tiny"


def test_embeddings_are_pickled_with_their_encoder() -> None:
    embeddings = M3Embeddings(encoder=HashEncoder())
    copied = pickle.loads(pickle.dumps(embeddings))  # noqa: S301  # our own
    assert copied.embed_query("wolf") == embeddings.embed_query("wolf")


def test_every_option_of_a_checkpoint_can_be_given() -> None:
    names = set(signature(TorchEncoder.from_pretrained).parameters)
    arguments = {"model", "query_instruction", "document_instruction", "progress"}
    assert set(MODEL_KWARGS) == names - arguments


def test_a_text_is_not_a_list() -> None:
    for batch_size in (None, 2):
        embeddings = M3Embeddings(
            encoder=HashEncoder(), encode_kwargs={"batch_size": batch_size} if batch_size else {}
        )
        with pytest.raises(TypeError, match=r"write \['wolf'\]"):
            embeddings.embed_documents("wolf")  # type: ignore[arg-type]  # what goes wrong


def test_batch_size_is_how_many_texts_are_encoded_at_once() -> None:
    sizes: list[int] = []

    class Noting(HashEncoder):
        def encode_documents(
            self, texts: Sequence[str], reps: Collection[Rep] | None = None
        ) -> list[M3Output]:
            sizes.append(len(texts))
            return super().encode_documents(texts, reps)

    texts = [f"text {n}" for n in range(5)]
    embeddings = M3Embeddings(encoder=Noting(), encode_kwargs={"batch_size": 2})
    assert embeddings.embed_documents(texts) == M3Embeddings(encoder=HashEncoder()).embed_documents(
        texts
    )
    assert sizes == [2, 2, 1]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"model_kwargs": {"divice": "cpu"}}, "divice"),
        ({"model_kwargs": {"trust_remote_code": True}}, "trust_remote_code"),
        ({"model_kwargs": {"local_files_only": True}}, "local_files_only.*HF_HUB_OFFLINE"),
        ({"model_kwargs": {"token": "hf_x"}}, "token.*HF_TOKEN"),
        ({"model_kwargs": {"model_kwargs": {"torch_dtype": "auto"}}}, "precision"),
        ({"model_kwargs": {"backend": "onnx"}}, "OnnxEncoder"),
        ({"multi_process": True}, "multi_process.*devices"),
        ({"model": "tiny"}, "model and model_name"),
        ({"encode_kwargs": {"normalise": True}}, "normalise"),
        ({"encode_kwargs": {"prompt_name": "query"}}, "prompt_name.*query_instruction"),
        ({"encode_kwargs": {"precision": "int8"}}, "precision"),
        ({"query_encode_kwargs": {"device": "cuda"}}, "device.*model_kwargs"),
        ({"encoder": HashEncoder(), "model_name": "tiny"}, "model_name"),
        ({"encoder": HashEncoder(), "model_kwargs": {}}, "model_kwargs"),
        ({"encoder": HashEncoder(), "query_instruction": ""}, "query_instruction"),
        ({"client": None}, "client"),
    ],
)
def test_what_is_unknown_or_without_effect_is_refused_by_name(
    arguments: dict[str, Any], named: str
) -> None:
    with pytest.raises(TypeError, match=named):
        M3Embeddings(
            **{"model_name": "tiny"} | arguments if "encoder" not in arguments else arguments
        )


@pytest.mark.parametrize("kwargs", [{"normalize_embeddings": False}, {"batch_size": 0}])
def test_what_cannot_be_is_refused(kwargs: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="|".join(kwargs)):
        M3Embeddings(encoder=HashEncoder(), encode_kwargs=kwargs)


def test_cache_folder_is_where_models_are_looked_for(tmp_path: Path) -> None:
    _put_in_cache(tmp_path, "org/name")
    embeddings = M3Embeddings(model_name="org/name", cache_folder=str(tmp_path))
    assert str(embeddings.encoder.model).startswith("org/name@")


def test_no_arguments_are_bge_m3_where_it_is_at_hand(tmp_path: Path) -> None:
    _put_in_cache(tmp_path, "BAAI/bge-m3")
    code = "from m3kit_langchain import *; print(M3Embeddings().encoder.model)"
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(tmp_path)}
    ran = subprocess.run(
        [sys.executable, "-c", code], env=env, text=True, capture_output=True, check=True
    )
    assert ran.stdout.startswith("BAAI/bge-m3@")


def test_a_model_that_is_not_there_is_an_error() -> None:
    with pytest.raises(CheckpointError, match="does not exist"):
        M3Embeddings(model_name="./nothing")


def test_the_adapter_needs_no_torch() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from m3kit.testing import HashEncoder\n"
        "from m3kit_langchain import *\n"
        "print(len(M3Embeddings(encoder=HashEncoder()).embed_query('a')))\n"
        "print(*sorted({'langchain_qdrant', 'langchain_milvus', 'qdrant_client'} & {*sys.modules}))"
    )
    ran = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True, check=True)
    assert ran.stdout == "32\n\n"


async def test_the_loop_runs_while_a_text_is_encoded() -> None:
    class Slow(HashEncoder):
        def encode_queries(
            self, texts: Sequence[str], reps: Collection[Rep] | None = None
        ) -> list[M3Output]:
            time.sleep(0.2)
            return super().encode_queries(texts, reps)

    embedding = asyncio.create_task(M3Embeddings(encoder=Slow()).aembed_query("wolf"))
    beats = 0
    while not embedding.done():
        await asyncio.sleep(0.01)
        beats += 1
    assert beats > 5
    assert len(await embedding) == 32


def test_any_embeddings_are_an_encoder_of_unit_vectors() -> None:
    encoder = EmbeddingsEncoder(FAKE)
    (query_output,) = encoder.encode_queries(["wolf"])
    (outputs,) = encoder.encode_documents(["wolf"], ["dense"])
    raw = np.array(FAKE.embed_query("wolf"))
    for output in (query_output, outputs):
        assert output.reps == {"dense"}
        assert output.dense is not None
        assert output.dense.dtype == np.float32
        np.testing.assert_allclose(output.dense, raw / np.linalg.norm(raw), rtol=1e-6)
    assert encoder.dim == 6
    assert encoder.encode_documents([]) == []


def test_a_vector_of_zeros_stays() -> None:
    class Zeros(DeterministicFakeEmbedding):
        def embed_query(self, text: str) -> list[float]:  # noqa: ARG002  # the base's signature
            return [0.0, 0.0]

    (output,) = EmbeddingsEncoder(Zeros(size=2)).encode_queries(["wolf"])
    assert output.dense is not None
    assert output.dense.tolist() == [0, 0]


def test_embeddings_have_no_other_representation() -> None:
    encoder = EmbeddingsEncoder(FAKE)
    for encode in (encoder.encode_queries, encoder.encode_documents):
        with pytest.raises(RepresentationError, match="sparse"):
            encode(["wolf"], ["sparse"])


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: EmbeddingsEncoder(FAKE), None),  # a class says nothing of a model
        (lambda: EmbeddingsEncoder(FAKE, model="mine"), "mine"),
    ],
)
def test_an_encoder_of_embeddings_has_a_name(
    make: Callable[[], EmbeddingsEncoder], name: str | None
) -> None:
    assert make().model == name


def test_the_name_holds_the_model_where_the_embeddings_say_it() -> None:
    class Named(DeterministicFakeEmbedding):
        model: str = "small-3"

    assert EmbeddingsEncoder(Named(size=2)).model == "Named:small-3"


class Cached(Embeddings):
    """As LangChain's `CacheBackedEmbeddings`, whose package is not installed here."""

    def __init__(self, underlying_embeddings: Embeddings) -> None:
        self.underlying_embeddings = underlying_embeddings
        self.embedded = 0

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        self.embedded += len(texts)
        return self.underlying_embeddings.embed_documents(texts)

    def embed_query(self, text: str) -> list[float]:
        return self.underlying_embeddings.embed_query(text)


class Imagining(Embeddings):
    """As LangChain's `HypotheticalDocumentEmbedder`: queries are not embedded as they are."""

    def __init__(self, base_embeddings: Embeddings) -> None:
        self.base_embeddings = base_embeddings
        self.embed_documents = base_embeddings.embed_documents  # type: ignore[method-assign]  # as it is

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        raise NotImplementedError(texts)

    def embed_query(self, text: str) -> list[float]:
        return self.base_embeddings.embed_query(f"an answer to {text}")


def test_a_cache_around_m3_is_unwrapped() -> None:
    encoder = HashEncoder()
    embeddings = Cached(Cached(M3Embeddings(encoder=encoder)))
    assert to_encoder(embeddings) is encoder
    store = M3VectorStore.from_texts(["a", "b"], embeddings)
    assert store.index.reps == {"dense", "sparse", "colbert"}
    assert M3VectorStore(encoder, store.index).similarity_search("a")


def test_a_cache_around_another_model_is_used_and_named_by_the_model() -> None:
    class Named(DeterministicFakeEmbedding):
        model: str = "small-3"

    cached = Cached(Named(size=2))
    encoder = to_encoder(cached)
    assert encoder.model == "Named:small-3"
    encoder.encode_documents(["a"])
    assert cached.embedded == 1
    store = M3VectorStore.from_texts(["a"], cached)
    with pytest.raises(ModelMismatchError, match="small-3"):
        M3VectorStore(EmbeddingsEncoder(FAKE, model="other"), store.index)
    assert to_encoder(Cached(FAKE)).model is None


def test_a_wrapper_that_embeds_queries_otherwise_stays_and_has_the_models_name() -> None:
    encoder = HashEncoder()
    wrapped = to_encoder(Imagining(M3Embeddings(encoder=encoder)))
    assert isinstance(wrapped, EmbeddingsEncoder)
    assert wrapped.model == encoder.model


def test_to_encoder_finds_what_is_behind() -> None:
    encoder = Counted(HashEncoder())
    assert to_encoder(encoder) is encoder
    assert to_encoder(M3Embeddings(encoder=encoder)) is encoder
    wrapped = to_encoder(FAKE)
    assert isinstance(wrapped, EmbeddingsEncoder)
    assert wrapped.embeddings is FAKE


def _put_in_cache(cache: Path, model: str) -> None:
    """Lay the tiny checkpoint out as the hub's client does."""
    commit = "5617a9f61b028005a4858fdac845db406aefb181"
    folder = cache / f"models--{model.replace('/', '--')}"
    shutil.copytree(TINY, folder / "snapshots" / commit)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(commit)
