from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
import torch
from onnx import TensorProto, helper
from safetensors.torch import load_file
from tests.cli.test_process import on_a_small_disk
from tests.onnx.close import assert_close
from tests.onnx.make_tiny import make
from tests.shipped import PIECES
from tests.torch.random_checkpoint import TINY
from tokenizers import Tokenizer
from typer.testing import CliRunner

from m3kit.cli.app import app
from m3kit.cli.export import Precisions, export, new_folder
from m3kit.onnx import CheckpointError, OnnxEncoder
from m3kit.torch import TorchEncoder

_TEXTS = ["a table", "Zeilen und Spalten einfügen", ""]


def test_the_command_writes_all_that_is_needed_and_says_how_exact_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "made" / "tiny-onnx"
    done = CliRunner().invoke(app, ["export", "tiny", str(folder)])
    assert done.exit_code == 0, done.output
    assert {path.name for path in folder.iterdir()} == {
        "config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        *("fp32.onnx", "fp32.data", "int8.onnx", "int8.data"),
    }
    assert [path.name for path in folder.parent.iterdir()] == ["tiny-onnx"]
    said, head, *rows = done.stdout.splitlines()
    assert said.startswith(f"wrote {folder}; largest errors on 11 texts")
    assert " ".join(head.split()) == "size 1 - cos dense lexical weight 1 - cos colbert"
    exact, coarse = ([float(number) for number in row.split()[3:]] for row in rows)
    assert max(exact) < 1e-5
    dense, weight, colbert = coarse
    assert 1e-5 < max(dense, colbert) < 0.1
    assert 1e-5 < weight < 0.5


def test_one_precision_can_be_asked_for(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["export", "tiny", str(tmp_path / "to"), "--precision", "int8"])
    assert done.exit_code == 0, done.output
    assert sorted(path.suffix for path in (tmp_path / "to").glob("*8.*")) == [".data", ".onnx"]
    assert not list((tmp_path / "to").glob("fp32.*"))


def test_a_pickled_checkpoint_with_a_prefix_is_the_same(
    tmp_path: Path, reference: TorchEncoder
) -> None:
    source = tmp_path / "pickled"
    shutil.copytree(TINY, source)
    tensors = load_file(source / "model.safetensors")
    torch.save(
        {f"roberta.{k}": v.float() for k, v in tensors.items()}, source / "pytorch_model.bin"
    )
    (source / "model.safetensors").unlink()
    list(export(str(source), tmp_path / "to", [Precisions.fp32]))
    encoder = OnnxEncoder.from_pretrained(tmp_path / "to")
    assert encoder.model == TorchEncoder.from_pretrained(source).model
    assert_close(encoder.encode_documents(_TEXTS), reference.encode_documents(_TEXTS))
    stored = (tmp_path / "to" / "fp32.data").stat().st_size
    assert stored < 1.02 * (TINY / "model.safetensors").stat().st_size  # float16, as it was


def test_the_shipped_graph_is_what_its_command_makes(tmp_path: Path) -> None:
    shutil.copytree(TINY, tmp_path / "tiny", ignore=shutil.ignore_patterns("fp32.*"))
    make(tmp_path / "tiny")
    for name in ("fp32.onnx", "fp32.data"):
        assert (tmp_path / "tiny" / name).read_bytes() == (TINY / name).read_bytes()


class TestRefusals:
    def test_a_folder_that_is_there_stays_as_it_is(self, tmp_path: Path) -> None:
        (tmp_path / "mine").write_text("kept")
        done = CliRunner().invoke(app, ["export", "tiny", str(tmp_path / "mine")])
        assert (done.exit_code, done.stdout) == (3, "")
        assert "exists" in done.stderr
        assert (tmp_path / "mine").read_text() == "kept"

    def test_a_model_that_is_not_there(self, tmp_path: Path) -> None:
        done = CliRunner().invoke(app, ["export", "./nothing", str(tmp_path / "to")])
        assert done.exit_code == 5
        assert "does not exist" in done.stderr
        assert not list(tmp_path.iterdir())

    def test_what_is_stopped_leaves_nothing(self, tmp_path: Path) -> None:
        def stopped() -> None:
            with new_folder(tmp_path / "to") as unfinished:
                (unfinished / "fp32.onnx").write_text("half of it")
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            stopped()
        assert not list(tmp_path.iterdir())

    def test_a_place_that_cannot_be_written_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        to = tmp_path / "file" / "to"
        done = CliRunner().invoke(app, ["export", "tiny", str(to)])
        assert (done.exit_code, done.stderr) == (1, f"error: {to}: Not a directory\n")

    def test_a_full_disk_is_one_line_and_leaves_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        script = f"{sys.executable} -m m3kit.cli export tiny disk/to\necho exit $?\nls -A disk"
        done = on_a_small_disk(script, megabytes=3)
        assert done.stdout == "exit 1\n"
        assert done.stderr == "error: disk/to: No space left on device\n"


class TestBrokenFolders:
    @pytest.fixture
    def folder(self, tmp_path: Path, exported: Path) -> Path:
        shutil.copytree(exported, tmp_path / "mine")
        return tmp_path / "mine"

    def test_a_checkpoint_without_a_graph(self, folder: Path) -> None:
        for path in folder.glob("*.onnx"):
            path.unlink()
        with pytest.raises(CheckpointError, match=r"no graph .* in fp32 or int8; .* `m3kit export"):
            OnnxEncoder.from_pretrained(folder)

    def test_weights_that_end_early(self, folder: Path) -> None:
        with (folder / "fp32.data").open("r+b") as file:
            file.truncate(1_000_000)
        with pytest.raises(CheckpointError, match=r"cannot open .*fp32\.onnx"):
            OnnxEncoder.from_pretrained(folder)

    def test_a_graph_that_is_none(self, folder: Path) -> None:
        (folder / "fp32.onnx").write_bytes(b"version https://git-lfs.github.com/spec/v1")
        with pytest.raises(CheckpointError, match=r"cannot open .*fp32\.onnx"):
            OnnxEncoder.from_pretrained(folder)

    def test_a_tokenizer_of_another_model(self, folder: Path) -> None:
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        tokenizer.add_tokens(["a token of its own"])
        tokenizer.save(str(folder / "tokenizer.json"))
        with pytest.raises(
            CheckpointError, match=f"gives {PIECES + 1} ids, and the graph knows {PIECES}"
        ):
            OnnxEncoder.from_pretrained(folder)

    def test_a_graph_of_another_program(self, folder: Path) -> None:
        ids = helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "length"])
        out = helper.make_tensor_value_info("dense", TensorProto.INT64, ["batch", "length"])
        node = helper.make_node("Identity", ["input_ids"], ["dense"])
        graph = helper.make_graph([node], "other", [ids], [out])
        opset = [helper.make_opsetid("", 20)]
        other = helper.make_model(graph, opset_imports=opset, ir_version=10)
        (folder / "fp32.onnx").write_bytes(other.SerializeToString())
        with pytest.raises(CheckpointError, match="a graph of another program"):
            OnnxEncoder.from_pretrained(folder)
