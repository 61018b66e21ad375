from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.shipped import WIDTH
from tests.torch.corpus import texts
from tests.torch.random_checkpoint import write_long_tiny
from tests.torch.reference import vectors

from m3kit._truncation import aggregate_warnings
from m3kit.encoder import Encoder
from m3kit.index import RepresentationError
from m3kit.torch import TorchEncoder
from m3kit.vectors import REPS, M3Output, Rep


def _assert_close(ours: list[M3Output], theirs: list[M3Output], *, tolerance: float = 1e-6) -> None:
    for one, other in zip(ours, theirs, strict=True):
        (dense, sparse, colbert), (dense_, sparse_, colbert_) = vectors(one), vectors(other)
        np.testing.assert_allclose(dense, dense_, rtol=0, atol=tolerance)
        assert sparse.ids.tolist() == sparse_.ids.tolist()
        np.testing.assert_allclose(sparse.weights, sparse_.weights, rtol=0, atol=tolerance)
        np.testing.assert_allclose(colbert, colbert_, rtol=0, atol=tolerance)


def _table(tokens: int) -> str:
    """A text of so many tokens, and the two special ones."""
    return " ".join(["table"] * tokens)


def test_it_is_an_encoder(tiny: TorchEncoder) -> None:
    encoder: Encoder = tiny
    assert (encoder.dim, encoder.reps) == (WIDTH, frozenset(REPS))
    assert encoder.encode_queries([]) == []
    assert repr(tiny) == f"TorchEncoder({tiny.model!r})"


def test_a_text_alone_equals_the_text_among_others(tiny: TorchEncoder) -> None:
    some = texts(512)[::15]
    alone = [output for text in some for output in tiny.encode_documents([text])]
    _assert_close(tiny.encode_documents(some), alone)


@pytest.mark.parametrize("batch_tokens", [1, 100, 100_000])
def test_the_token_budget_changes_no_vector(tiny: TorchEncoder, batch_tokens: int) -> None:
    some = texts(512)[::9]
    encoder = TorchEncoder.from_pretrained("tiny", batch_tokens=batch_tokens)
    _assert_close(encoder.encode_documents(some), tiny.encode_documents(some))


def test_shapes_and_norms(tiny: TorchEncoder) -> None:
    (output,) = tiny.encode_documents(["a table"])
    dense, sparse, colbert = vectors(output)
    assert dense.dtype == colbert.dtype == sparse.weights.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(dense), 1, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(colbert, axis=1), 1, atol=1e-6)


def test_an_empty_text_has_the_vector_of_its_closing_token(tiny: TorchEncoder) -> None:
    (output,) = tiny.encode_documents([""])
    dense, sparse, colbert = vectors(output)
    assert (dense.shape, len(sparse), colbert.shape) == ((WIDTH,), 0, (1, WIDTH))


@pytest.mark.parametrize("rep", REPS)
def test_only_what_is_asked_for_is_there(tiny: TorchEncoder, rep: Rep) -> None:
    (output,) = tiny.encode_queries(["a table"], [rep])
    (whole,) = tiny.encode_queries(["a table"])
    assert output.reps == {rep}
    assert whole.reps == set(REPS)


def test_a_colbert_array_holds_no_memory_but_its_own(tiny: TorchEncoder) -> None:
    for output in tiny.encode_documents(["a table", "another table with more words", ""]):
        _, _, colbert = vectors(output)
        assert colbert.base is None
        assert colbert.flags.c_contiguous


class TestStreaming:
    def test_it_equals_the_list_and_keeps_its_order(self, tiny: TorchEncoder) -> None:
        some = texts(512)
        _assert_close(list(tiny.encode(iter(some))), tiny.encode_documents(some))

    def test_it_reads_a_bounded_number_of_texts_ahead(self) -> None:
        encoder = TorchEncoder.from_pretrained("tiny", batch_tokens=32)
        read = 0

        def endless() -> Iterator[str]:
            nonlocal read
            while True:
                read += 1
                yield f"text number {read}"

        ahead = [
            read - done
            for done, _ in zip(range(600), encoder.encode(endless(), ["dense"]), strict=False)
        ]
        assert max(ahead) < 400  # 256 in the tokenizer, 256 tokens in the model

    def test_nothing_is_read_before_the_first_output_is_wanted(self, tiny: TorchEncoder) -> None:
        source = iter(["a table"])
        stream = tiny.encode(source)
        assert next(source) == "a table"
        assert list(stream) == []

    def test_an_instruction_goes_in_front(self, tiny: TorchEncoder) -> None:
        _assert_close(
            list(tiny.encode(["table"], instruction="find a ")),
            tiny.encode_documents(["find a table"]),
        )


class TestThreads:
    def test_a_hundred_threads_of_mixed_lengths_equal_one(self, tiny: TorchEncoder) -> None:
        some = texts(512)[::3]
        limits = [8 + 5 * (number % 20) for number in range(len(some))]

        def encode(text: str, limit: int) -> M3Output:
            (output,) = tiny.encode([text], max_length=limit)
            return output

        serial = list(map(encode, some, limits))
        with ThreadPoolExecutor(100) as threads:
            _assert_close(list(threads.map(encode, some, limits)), serial)


class TestTruncation:
    def test_a_call_says_once_how_many_texts_were_cut(
        self, of_128: TorchEncoder, caplog: pytest.LogCaptureFixture
    ) -> None:
        of_128.encode_documents([_table(1826), "short", _table(129)])
        (record,) = caplog.records
        assert (record.name, record.levelno) == ("m3kit", logging.WARNING)
        assert record.getMessage() == (
            "2 of 3 texts were longer than 128 tokens and were cut (the longest has 1,828); "
            "split them"
        )

    def test_batches_of_one_ingest_are_said_once(
        self, of_128: TorchEncoder, caplog: pytest.LogCaptureFixture
    ) -> None:
        with aggregate_warnings():
            for _ in range(3):
                of_128.encode_documents([_table(129), "short"])
        (record,) = caplog.records
        assert record.getMessage().startswith("3 of 6 texts were longer than 128 tokens")

    def test_by_default_a_query_has_512_tokens_and_a_document_8192(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        encoder = TorchEncoder.from_pretrained(write_long_tiny(tmp_path / "long", 16_386))
        long = _table(9000)
        assert len(encoder.query_tokens(long)) == 512
        assert len(encoder.document_tokens(long)) == 8192
        encoder.encode_queries([long], ["dense"])
        encoder.encode_documents([long], ["dense"])
        list(encoder.encode([long], ["dense"]))
        limits = [record.getMessage().split(" than ")[1].split()[0] for record in caplog.records]
        assert limits == ["512", "8192", "8192"]

    def test_the_option_to_raise_is_named(self, caplog: pytest.LogCaptureFixture) -> None:
        encoder = TorchEncoder.from_pretrained("tiny", query_max_length=16, document_max_length=32)
        long = _table(50)
        encoder.encode_queries([long])
        encoder.encode_documents([long])
        list(encoder.encode([long], max_length=8))
        assert [record.getMessage().partition("; ")[2] for record in caplog.records] == [
            "raise query_max_length or split them",
            "raise document_max_length or split them",
            "raise max_length or split them",
        ]

    def test_a_text_of_just_the_limit_is_whole(
        self, tiny: TorchEncoder, caplog: pytest.LogCaptureFixture
    ) -> None:
        (output,) = tiny.encode_documents([_table(510)])
        assert len(vectors(output)[2]) == 511
        assert not caplog.records

    def test_a_stream_that_is_left_early_says_it_too(
        self, tiny: TorchEncoder, caplog: pytest.LogCaptureFixture
    ) -> None:
        stream = tiny.encode([_table(50), "more"], max_length=8)
        next(stream)
        assert not caplog.records
        stream.close()  # type: ignore[attr-defined]  # every generator has it
        assert len(caplog.records) == 1


class TestRefusals:
    @pytest.mark.parametrize("method", ["encode", "encode_queries", "encode_documents"])
    def test_one_str_is_not_a_list(self, tiny: TorchEncoder, method: str) -> None:
        with pytest.raises(TypeError, match=r"a list of texts, not one str: \[text\]"):
            getattr(tiny, method)("a table")

    @pytest.mark.parametrize("wrong", [None, 7, b"bytes", ["a list"]])
    def test_a_text_that_is_no_str_is_named_by_its_position(
        self, tiny: TorchEncoder, wrong: Any
    ) -> None:
        with pytest.raises(TypeError, match=r"texts\[2\] is a .*, not a str"):
            tiny.encode_documents(["a", "b", wrong])
        with pytest.raises(TypeError, match=r"texts\[2\] is a .*, not a str"):
            list(tiny.encode(["a", "b", wrong]))

    @pytest.mark.parametrize("reps", [(), "dense", ["dens"], ["dense", "sparse", "bm25"]])
    def test_unknown_representations(self, tiny: TorchEncoder, reps: Any) -> None:
        with pytest.raises(RepresentationError):
            tiny.encode_queries(["a"], reps)
        with pytest.raises(RepresentationError):
            tiny.encode(["a"], reps)

    @pytest.mark.parametrize("option", ["query_max_length", "document_max_length"])
    def test_a_limit_without_room_for_text(self, option: str) -> None:
        options: dict[str, Any] = {option: 2}
        with pytest.raises(ValueError, match=f"{option} counts 2 special tokens, so 2"):
            TorchEncoder.from_pretrained("tiny", **options)


class TestProgress:
    def test_a_bar_is_shown_on_demand_and_never_else(self) -> None:
        code = (
            "from m3kit.torch import TorchEncoder\n"
            "for progress in (False, True):\n"
            "    encoder = TorchEncoder.from_pretrained('tiny', progress=progress)\n"
            "    encoder.encode_documents(['a', 'b', 'c'])\n"
            "    import sys; print('--', file=sys.stderr)\n"
        )
        run = [sys.executable, "-c", code]
        done = subprocess.run(run, text=True, capture_output=True, check=True)
        silent, shown, _ = done.stderr.split("--\n")
        assert silent == ""
        assert "3/3" in shown


@pytest.mark.gpu
def test_an_accelerator_gives_the_same_vectors() -> None:
    device = "cuda" if torch.cuda.is_available() else "mps"
    if device == "mps" and not torch.backends.mps.is_available():
        pytest.skip("there is no CUDA or MPS device here")
    there, here = (TorchEncoder.from_pretrained("tiny", device=name) for name in (device, "cpu"))
    _assert_close(
        there.encode_documents(texts(512)), here.encode_documents(texts(512)), tolerance=1e-4
    )
