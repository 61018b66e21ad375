from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from onnxruntime import InferenceSession
from tests.onnx.close import assert_close
from tests.shipped import WIDTH
from tests.torch import random_checkpoint
from tests.torch.corpus import texts
from tests.torch.near import assert_near
from tests.torch.random_checkpoint import TINY, write_bert, write_m3
from tests.torch.reference import excerpt, vectors

from m3kit.cli.export import Precisions, export
from m3kit.encoder import Encoder
from m3kit.onnx import CheckpointError, OnnxEncoder
from m3kit.torch import TorchEncoder
from m3kit.vectors import REPS, M3Output, Rep

_GOLDEN = Path(__file__).parents[1] / "torch" / "golden"


def test_it_is_an_encoder(tiny: OnnxEncoder) -> None:
    encoder: Encoder = tiny
    assert (encoder.dim, encoder.reps) == (WIDTH, frozenset(REPS))
    assert encoder.encode_queries([]) == []
    assert repr(tiny) == f"OnnxEncoder({tiny.model!r})"


def test_it_names_the_model_as_pytorch_does(
    tiny: OnnxEncoder, reference: TorchEncoder, exported: Path
) -> None:
    assert tiny.model == OnnxEncoder.from_pretrained(exported).model == reference.model


class TestParity:
    def test_tiny_equals_what_flagembedding_said(self, tiny: OnnxEncoder) -> None:
        found = excerpt(tiny.encode_documents(texts(512)), 1)
        with np.load(_GOLDEN / "tiny.npz") as golden:
            for name in ("sparse_counts", "sparse_ids", "colbert_counts"):
                np.testing.assert_array_equal(found[name], golden[name], name)
            for name in ("dense", "sparse_weights", "colbert_rows"):
                np.testing.assert_allclose(found[name], golden[name], rtol=0, atol=1e-5)

    def test_an_export_equals_the_shipped_graph(self, tiny: OnnxEncoder, exported: Path) -> None:
        some = texts(512)[::5]
        found = OnnxEncoder.from_pretrained(exported, precision="fp32").encode_documents(some)
        assert_close(found, tiny.encode_documents(some), tolerance=0)

    def test_a_model_of_an_odd_width_equals_pytorch(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(random_checkpoint, "WIDTH", 80)  # no multiple of a block of int8
        source, folder = write_m3(tmp_path / "m3"), tmp_path / "m3-onnx"
        list(export(str(source), folder, [*Precisions]))
        ours, theirs = OnnxEncoder.from_pretrained(folder), TorchEncoder.from_pretrained(source)
        some = [*texts(512)[::20], "a long table " * 250]
        found = theirs.encode_documents(some)
        assert_close(ours.encode_documents(some), found)
        near = OnnxEncoder.from_pretrained(folder, precision="int8").encode_documents(some)
        for one, other in zip(near, found, strict=True):
            assert vectors(one)[0] @ vectors(other)[0] > 0.99

    @pytest.mark.slow
    def test_a_text_of_8192_tokens_equals_pytorch(self, tmp_path: Path) -> None:
        source, folder = write_m3(tmp_path / "m3"), tmp_path / "m3-onnx"
        list(export(str(source), folder, [Precisions.fp32]))
        ours, theirs = OnnxEncoder.from_pretrained(folder), TorchEncoder.from_pretrained(source)
        some = [*texts(8192)[::40], "a table " * 4500]
        assert_close(ours.encode_documents(some), theirs.encode_documents(some))

    @pytest.mark.parametrize("pooling", ["cls", "mean"])
    def test_bert_equals_what_flagembedding_said(self, tmp_path: Path, pooling: str) -> None:
        source, folder = tmp_path / "bert", tmp_path / "bert-onnx"
        list(
            export(str(write_bert(source, "".join(texts(512)), pooling)), folder, [Precisions.fp32])
        )
        encoder = OnnxEncoder.from_pretrained(folder)
        assert encoder.reps == {"dense"}
        found = [output.dense for output in encoder.encode_documents(texts(512))]
        with np.load(_GOLDEN / "bert.npz") as golden:
            np.testing.assert_allclose(np.array(found), golden[pooling], rtol=0, atol=1e-5)


class TestInt8:
    def test_it_is_near_and_small(self, exported: Path, reference: TorchEncoder) -> None:
        encoder = OnnxEncoder.from_pretrained(exported, precision="int8")
        some = texts(512)[::5]
        found, exact = encoder.encode_documents(some), reference.encode_documents(some)
        assert_near(found, exact, cosine=0.98, mean=0.35, worst=0.9)
        sizes = [(exported / f"{name}.data").stat().st_size for name in ("int8", "fp32")]
        assert sizes[0] < 0.65 * sizes[1]  # of float16 weights; positions stay as they are

    def test_a_folder_with_int8_alone_needs_no_option(self, exported: Path, tmp_path: Path) -> None:
        shutil.copytree(exported, tmp_path / "small", ignore=shutil.ignore_patterns("fp32.*"))
        assert OnnxEncoder.from_pretrained(tmp_path / "small").reps == set(REPS)
        with pytest.raises(CheckpointError, match="in fp32; it has int8: precision='int8'"):
            OnnxEncoder.from_pretrained(tmp_path / "small", precision="fp32")


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_company_changes_no_bit(exported: Path, precision: str) -> None:
    encoder = OnnxEncoder.from_pretrained(exported, precision=Precisions(precision).value)
    some = texts(512)[::4]
    alone = [output for text in some for output in encoder.encode_documents([text])]
    assert_close(encoder.encode_documents(some), alone, tolerance=0)


def test_a_hundred_threads_of_mixed_lengths_equal_one(tiny: OnnxEncoder) -> None:
    some = texts(512)[::3]
    limits = [8 + 5 * (number % 20) for number in range(len(some))]

    def encode(text: str, limit: int) -> M3Output:
        (output,) = tiny.encode([text], max_length=limit)
        return output

    serial = list(map(encode, some, limits))
    with ThreadPoolExecutor(100) as threads:
        assert_close(list(threads.map(encode, some, limits)), serial, tolerance=0)


@pytest.mark.parametrize("rep", REPS)
def test_only_what_is_asked_for_is_there(tiny: OnnxEncoder, rep: Rep) -> None:
    (output,) = tiny.encode_queries(["a table"], [rep])
    assert output.reps == {rep}


def test_what_is_not_asked_for_is_not_computed() -> None:
    session = InferenceSession(TINY / "fp32.onnx", providers=["CPUExecutionProvider"])
    ids, no = np.array([[0, 50, 60, 2]]), np.array(False)  # noqa: FBT003  # a tensor's value
    shapes = [output.shape for output in session.run(REPS, {"input_ids": ids})]
    assert shapes == [(1, WIDTH), (1, 4), (1, 3, WIDTH)]
    made = session.run(REPS, {"input_ids": ids, "with_colbert": no, "with_dense": no})
    assert [output.size for output in made] == [0, 4, 0]


def test_an_array_holds_no_memory_but_its_own(tiny: OnnxEncoder) -> None:
    for output in tiny.encode_documents(["a table", "a chair", "more words in a text", ""]):
        colbert = vectors(output)[2]
        assert colbert.base is None
        assert colbert.flags.c_contiguous


def test_options_reach_the_texts() -> None:
    encoder = OnnxEncoder.from_pretrained(
        "tiny",
        threads=1,
        query_max_length=8,
        query_instruction="find: ",
        document_instruction="text: ",
    )
    assert len(encoder.query_tokens("table " * 20)) == 8
    plain = OnnxEncoder.from_pretrained("tiny")
    assert_close(encoder.encode_documents(["a table"]), plain.encode_documents(["text: a table"]))
    assert_close(encoder.encode_queries(["table"]), plain.encode_queries(["find: table"]))
