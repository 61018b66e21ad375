"""`RemoteEncoder`: what the encoder's own tests claim, and what a wire adds to it."""

from __future__ import annotations

import logging
import pickle
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from typing import Any

import numpy as np
import pytest
from tests.server.conftest import Letters, Serve
from tests.server.test_encode import assert_close
from tests.shipped import WIDTH
from tests.torch.corpus import texts

from m3kit import CachedEncoder, Document, Encoder, MemoryIndex, Retriever
from m3kit.encoder import same_model
from m3kit.index import RepresentationError
from m3kit.remote import RemoteEncoder, RemoteError
from m3kit.server import Limits
from m3kit.torch import TorchEncoder
from m3kit.vectors import REPS, M3Output, Rep


@pytest.fixture(scope="module")
def remote(url: str) -> Iterator[RemoteEncoder]:
    with closing(RemoteEncoder(url)) as encoder:
        yield encoder


def _table(tokens: int) -> str:
    return " ".join(["table"] * tokens)


class TestAsAnEncoder:
    def test_it_is_the_encoder_that_is_served(
        self, remote: RemoteEncoder, encoder: TorchEncoder, url: str
    ) -> None:
        served: Encoder = remote
        assert (served.model, served.dim, served.reps) == (encoder.model, WIDTH, frozenset(REPS))
        assert same_model(str(served.model), encoder.model)
        assert served.encode_queries([]) == []
        assert repr(remote) == f"RemoteEncoder({url!r})"

    def test_it_equals_it_over_many_requests_in_order(
        self, remote: RemoteEncoder, encoder: TorchEncoder
    ) -> None:
        some = texts(512)
        assert_close(remote.encode_documents(some), encoder.encode_documents(some))
        assert_close(remote.encode_queries(some[:40]), encoder.encode_queries(some[:40]))

    def test_shapes_types_and_norms(self, remote: RemoteEncoder) -> None:
        (output,) = remote.encode_documents(["a table"])
        assert output.dense is not None
        assert output.colbert is not None
        assert output.sparse is not None
        assert output.dense.dtype == output.colbert.dtype == output.sparse.weights.dtype
        assert output.dense.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(output.dense), 1, atol=1e-6)
        np.testing.assert_allclose(np.linalg.norm(output.colbert, axis=1), 1, atol=1e-6)

    def test_an_empty_text_has_the_vector_of_its_closing_token(self, remote: RemoteEncoder) -> None:
        (output,) = remote.encode_documents([""])
        assert output.colbert is not None
        assert output.sparse is not None
        assert (len(output.sparse), output.colbert.shape) == (0, (1, remote.dim))

    @pytest.mark.parametrize("rep", REPS)
    def test_only_what_is_asked_for_is_there(self, remote: RemoteEncoder, rep: Rep) -> None:
        (output,) = remote.encode_queries(["a table"], [rep])
        assert output.reps == {rep}

    def test_a_colbert_array_holds_no_memory_but_its_own(self, remote: RemoteEncoder) -> None:
        for output in remote.encode_documents(["a table", "another table with more words", ""]):
            assert output.colbert is not None
            assert output.colbert.base is None
            assert output.colbert.flags.c_contiguous

    def test_threads_may_share_it(self, remote: RemoteEncoder, encoder: TorchEncoder) -> None:
        some = texts(512)[::3]
        limits = [8 + 5 * (number % 20) for number in range(len(some))]

        def encode(encoder: Any, text: str, limit: int) -> M3Output:
            (output,) = encoder.encode_documents([text], max_length=limit)
            return output  # type: ignore[no-any-return]  # either encoder's

        serial = [encode(encoder, *pair) for pair in zip(some, limits, strict=True)]
        with ThreadPoolExecutor(32) as threads:
            parallel = threads.map(encode, [remote] * len(some), some, limits)
            assert_close(list(parallel), serial)

    def test_a_call_says_once_how_many_texts_were_cut(
        self, serve: Serve, of_128: TorchEncoder, caplog: pytest.LogCaptureFixture
    ) -> None:
        with closing(RemoteEncoder(serve(of_128))) as remote:
            remote.encode_documents([_table(1826), "short", _table(129), *["short"] * 100])
        (record,) = [one for one in caplog.records if one.name == "m3kit"]
        assert record.levelno == logging.WARNING
        assert record.getMessage() == (
            "2 of 103 texts were longer than 128 tokens and were cut (the longest has 1,828); "
            "split them"
        )

    def test_a_lone_surrogate_counts_as_a_replacement_character(
        self, remote: RemoteEncoder
    ) -> None:
        assert_close(remote.encode_documents(["\ud800 a"]), remote.encode_documents(["\ufffd a"]))

    def test_tokens_are_those_of_the_encoder(
        self, remote: RemoteEncoder, encoder: TorchEncoder
    ) -> None:
        text = "Zeilen in eine Tabelle"
        assert remote.query_tokens(text) == encoder.query_tokens(text)
        assert remote.document_tokens(text) == encoder.document_tokens(text)

    @pytest.mark.parametrize("method", ["encode_queries", "encode_documents"])
    def test_one_str_is_not_a_list(self, remote: RemoteEncoder, method: str) -> None:
        with pytest.raises(TypeError, match=r"a list of texts, not one str: \[text\]"):
            getattr(remote, method)("a table")

    @pytest.mark.parametrize("wrong", [None, 7, b"bytes", ["a list"]])
    def test_a_text_that_is_no_str_is_named_by_its_position(
        self, remote: RemoteEncoder, wrong: Any
    ) -> None:
        with pytest.raises(TypeError, match=r"texts\[2\] is a .*, not a str"):
            remote.encode_documents(["a", "b", wrong])

    @pytest.mark.parametrize("reps", [(), "dense", ["dens"], ["dense", "sparse", "bm25"]])
    def test_unknown_representations(self, remote: RemoteEncoder, reps: Any) -> None:
        with pytest.raises(RepresentationError):
            remote.encode_queries(["a"], reps)

    def test_an_index_and_a_cache_work_over_it(
        self, remote: RemoteEncoder, encoder: TorchEncoder
    ) -> None:
        hits = []
        for one in (CachedEncoder(remote), encoder):
            index = MemoryIndex(encoder=one)
            retriever = Retriever(one, index)
            retriever.add([Document(str(n), text) for n, text in enumerate(texts(512)[:30])])
            found = retriever.search("a table with rows", k=5)
            hits.append([(hit.document.id, round(hit.score, 5)) for hit in found])
        assert hits[0] == hits[1]


class TestProcesses:
    def test_it_travels(self, remote: RemoteEncoder) -> None:
        again: RemoteEncoder = pickle.loads(pickle.dumps(remote))  # noqa: S301  # our own
        with closing(again):
            assert_close(again.encode_queries(["a"]), remote.encode_queries(["a"]))

    def test_into_another_process_which_needs_neither_a_model_nor_a_server(
        self, remote: RemoteEncoder
    ) -> None:
        code = (
            "import sys, pickle\n"
            "encoder = pickle.load(sys.stdin.buffer)\n"
            "print(encoder.encode_queries(['a table'], ['dense'])[0].dense.tolist())\n"
            "print({'torch', 'tokenizers', 'fastapi', 'pydantic'} & set(sys.modules))\n"
        )
        run = [sys.executable, "-c", code]
        done = subprocess.run(run, input=pickle.dumps(remote), capture_output=True, check=True)
        (output,) = remote.encode_queries(["a table"], ["dense"])
        assert output.dense is not None
        assert done.stdout.decode().splitlines() == [str(output.dense.tolist()), "set()"]


class TestTrouble:
    def test_a_full_server_is_tried_again(self, serve: Serve, letters: Letters) -> None:
        remote = RemoteEncoder(serve(letters, limits=Limits(requests=1)), connections=4)
        with ThreadPoolExecutor(4) as threads:
            answers = list(threads.map(remote.encode_documents, [["a"], ["b"], ["c"], ["d"]]))
        assert [len(answer) for answer in answers] == [1] * 4

    def test_in_the_end_it_says_what_the_server_said(self, serve: Serve, letters: Letters) -> None:
        address = serve(letters, limits=Limits(requests=1))
        remote, hasty = RemoteEncoder(address), RemoteEncoder(address, attempts=1)
        letters.hold()
        with ThreadPoolExecutor(1) as threads:
            first = threads.submit(remote.encode_documents, ["a"])
            assert letters.entered.wait(30)
            with pytest.raises(RemoteError, match=r"answered 503: 1 requests are under way"):
                hasty.encode_documents(["b"])
            letters.free.set()
            assert len(first.result()) == 1

    def test_a_request_that_is_too_large_is_halved(
        self, serve: Serve, encoder: TorchEncoder
    ) -> None:
        remote = RemoteEncoder(serve(encoder, limits=Limits(queue_tokens=200)), connections=1)
        some = texts(512)[:40]
        kept = [text for text in some if len(encoder.document_tokens(text)) <= 200]
        assert_close(remote.encode_documents(kept), encoder.encode_documents(kept))

    def test_a_broken_connection_is_tried_again(self, url: str) -> None:
        with breaking(url, times=2) as address, closing(RemoteEncoder(address)) as remote:
            assert len(remote.encode_documents(["a"])) == 1

    def test_nobody_there(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = f"http://127.0.0.1:{free.getsockname()[1]}"
            with pytest.raises(RemoteError, match="no answer from http"):
                RemoteEncoder(address, attempts=2)

    def test_a_key(self, serve: Serve, letters: Letters) -> None:
        address = serve(letters, api_key="key")
        with pytest.raises(RemoteError, match=r"answered 401: .*; pass api_key="):
            RemoteEncoder(address, attempts=1)
        assert RemoteEncoder(address, api_key="key").model == "letters"


@contextmanager
def breaking(url: str, *, times: int) -> Iterator[str]:
    """A proxy that breaks the first connections in the middle of a request."""
    host, port = url.removeprefix("http://").split(":")
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(8) as threads:

        def accept() -> None:
            for n in range(8):
                client, _ = listener.accept()
                if n < times:
                    client.recv(100)
                    client.close()
                    continue
                server = socket.create_connection((host, int(port)))
                threads.submit(pump, client, server)
                threads.submit(pump, server, client)

        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def pump(source: socket.socket, sink: socket.socket) -> None:
    with source, suppress(OSError):
        while part := source.recv(65536):
            sink.sendall(part)
        sink.shutdown(socket.SHUT_RDWR)


class TestOtherServers:
    @pytest.mark.parametrize(
        ("api", "reps"),
        [("tei", {"dense", "sparse"}), ("vllm", {"dense", "sparse"}), ("openai", {"dense"})],
    )
    def test_what_they_give_is_read(
        self, url: str, encoder: TorchEncoder, api: Any, reps: set[Rep]
    ) -> None:
        with closing(RemoteEncoder(f"{url}/v1", api=api, model=encoder.model)) as remote:
            assert (set(remote.reps), remote.dim, remote.model) == (reps, WIDTH, encoder.model)
            some = texts(512)[:80:8]
            assert_close(remote.encode_documents(some), encoder.encode_documents(some, reps))
            for rep in reps:
                one = remote.encode_queries(["a"], [rep])
                assert_close(one, encoder.encode_queries(["a"], [rep]))

    @pytest.mark.parametrize(
        ("api", "rep", "reason"),
        [
            ("tei", "colbert", "text-embeddings-inference has no ColBERT head"),
            ("vllm", "colbert", "vLLM leaves the row of the closing token out"),
            ("openai", "sparse", "OpenAI's API has dense vectors alone"),
        ],
    )
    def test_what_they_cannot_give_is_said(self, url: str, api: Any, rep: Rep, reason: str) -> None:
        with closing(RemoteEncoder(url, api=api)) as remote:
            with pytest.raises(RepresentationError, match=f"{rep} vectors: {reason}.*m3kit serve"):
                remote.encode_documents(["a"], [rep])
            with pytest.raises(TypeError, match="max_length is for servers of m3kit"):
                remote.encode_documents(["a"], max_length=8)

    def test_a_dense_model_behind_them(self, serve: Serve, letters: Letters) -> None:
        address = serve(letters)
        for api, reason in (("tei", "embed_sparse does not answer"), ("vllm", "is not loaded")):
            with closing(RemoteEncoder(address, api=api)) as remote:  # type: ignore[arg-type]  # both are
                assert remote.reps == {"dense"}
                with pytest.raises(RepresentationError, match=reason):
                    remote.encode_documents(["a"], ["sparse"])

    def test_an_unknown_api(self) -> None:
        with pytest.raises(ValueError, match="api is auto, m3kit, tei, vllm, openai, not 'grpc'"):
            RemoteEncoder("http://localhost", api="grpc")  # type: ignore[arg-type]  # the claim
