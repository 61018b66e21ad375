"""Where PyTorch is not installed: the first hit needs ONNX Runtime alone."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.shipped import WIDTH
from tests.torch.random_checkpoint import TINY

from m3kit.onnx import OnnxEncoder

_EXPORT_ALONE = ("onnx", "safetensors", "torch")


def _without(packages: tuple[str, ...], code: str, *args: str) -> subprocess.CompletedProcess[str]:
    """Run code where some packages are not to be found."""
    blocked = (
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.partition('.')[0] in {set(packages)}:\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Absent())\n"
    )
    command = [sys.executable, "-c", blocked + code, *args]
    return subprocess.run(command, capture_output=True, check=False, text=True, timeout=60)


_CLI = "from m3kit.cli import main\nmain()\n"


def test_the_encoder_needs_no_pytorch(exported: Path) -> None:
    code = (
        "from m3kit.onnx import OnnxEncoder\n"
        "for name in sys.argv[1:]:\n"
        "    (output,) = OnnxEncoder.from_pretrained(name).encode_documents(['select rows'])\n"
        "    print(len(output.dense), len(output.sparse), output.colbert.shape)\n"
        "print({'onnx', 'safetensors', 'torch', 'transformers'} & set(sys.modules))\n"
    )
    done = _without(_EXPORT_ALONE, code, "tiny", str(exported))
    assert done.stdout.splitlines() == [f"{WIDTH} 2 (3, {WIDTH})"] * 2 + ["set()"], done.stderr


def test_the_encoder_does_not_import_pytorch_that_is_there() -> None:
    code = (
        "import sys\n"
        "from m3kit.onnx import OnnxEncoder\n"
        "OnnxEncoder.from_pretrained('tiny').encode_queries(['a table'])\n"
        "print({'onnx', 'safetensors', 'torch'} & set(sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout == "set()\n"


def test_the_first_hit_of_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "texts.txt").write_text("Print a page.\n\nInsert a table into the text.\n")
    index = str(tmp_path / "index")
    files = (str(tmp_path / "texts.txt"), "--to", index, "--model", "tiny")
    written = _without(_EXPORT_ALONE, _CLI, "index", *files)
    assert written.stdout == f"wrote 2 documents to {index}, which holds 2 now\n", written.stderr
    found = _without(_EXPORT_ALONE, _CLI, "search", "a table", "--in", index, "--json")
    answer = json.loads(found.stdout)
    assert answer["hits"][0]["text"] == "Insert a table into the text."
    assert answer["model"] == OnnxEncoder.from_pretrained("tiny").model


def test_a_folder_that_was_exported_is_opened_beside_pytorch_too(exported: Path) -> None:
    code = "import sys\n" + _CLI
    command = [sys.executable, "-c", code, "encode", "-", "--model", str(exported)]
    done = subprocess.run(
        command, input='{"id": "a", "text": "a table"}', capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout)["id"] == "a"


class TestRefusals:
    def test_without_either_both_are_named(self, tmp_path: Path) -> None:
        (tmp_path / "a.txt").write_text("a table")
        packages = ("onnxruntime", "torch")
        done = _without(packages, _CLI, "encode", str(tmp_path / "a.txt"), "--model", "tiny")
        assert done.returncode == 5
        assert done.stderr == (
            "error: a model needs torch or onnxruntime, which is not installed: "
            "pip install 'm3kit[torch]', or 'm3kit[onnx]' for small machines\n"
        )

    def test_a_device_that_onnx_runtime_does_not_serve(self, tmp_path: Path) -> None:
        (tmp_path / "a.txt").write_text("a table")
        options = ("--model", "tiny", "--device", "cuda")
        done = _without(_EXPORT_ALONE, _CLI, "encode", str(tmp_path / "a.txt"), *options)
        assert done.returncode == 5
        assert done.stderr == (
            "error: ONNX Runtime computes on the CPU here, and --device asks for cuda\n"
        )

    def test_what_only_pytorch_reads(self, tmp_path: Path) -> None:
        (tmp_path / "a.txt").write_text("a table")
        shutil.copytree(TINY, tmp_path / "mine", ignore=shutil.ignore_patterns("fp32.*"))
        options = ("--model", str(tmp_path / "mine"))
        done = _without(_EXPORT_ALONE, _CLI, "encode", str(tmp_path / "a.txt"), *options)
        assert done.returncode == 5
        assert "has no graph for ONNX Runtime in fp32 or int8; write one, where" in done.stderr

    def test_an_export_names_what_it_lacks(self, tmp_path: Path) -> None:
        done = _without(_EXPORT_ALONE, _CLI, "export", "tiny", str(tmp_path / "to"))
        assert done.returncode == 5
        assert done.stderr == (
            "error: an export needs onnx, which is not installed: pip install 'm3kit[export]'\n"
        )


@pytest.mark.skipif(os.name != "posix", reason="the hub's cache is made of links")
def test_an_export_on_the_hub_is_opened_from_its_cache(exported: Path, tmp_path: Path) -> None:
    commit = "5617a9f61b028005a4858fdac845db406aefb181"
    model = tmp_path / "hub" / "models--org--name-onnx"
    shutil.copytree(exported, model / "blobs")
    snapshot = model / "snapshots" / commit
    snapshot.mkdir(parents=True)
    for file in exported.iterdir():
        (snapshot / file.name).symlink_to(Path("..", "..", "blobs", file.name))
    (model / "refs").mkdir()
    (model / "refs" / "main").write_text(commit)
    code = (
        "from m3kit.onnx import OnnxEncoder\n"
        f"encoder = OnnxEncoder.from_pretrained('org/name-onnx', cache_dir={str(model.parent)!r})\n"
        "print(encoder.model)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.stdout.strip() == OnnxEncoder.from_pretrained("tiny").model, done.stderr
