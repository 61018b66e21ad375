from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.shipped import WIDTH
from tests.torch.random_checkpoint import TINY

from m3kit.torch import CheckpointError, TorchEncoder

_COMMIT = "5617a9f61b028005a4858fdac845db406aefb181"
_OFFLINE = {**os.environ, "HF_HUB_OFFLINE": "1"}


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A cache as the hub's client lays it out, with one model in it."""
    model = tmp_path / "hub" / "models--org--name"
    shutil.copytree(TINY, model / "snapshots" / _COMMIT)
    (model / "refs").mkdir()
    (model / "refs" / "main").write_text(_COMMIT)
    return tmp_path / "hub"


def _offline(code: str) -> subprocess.CompletedProcess[str]:
    """Run code where the hub's client was told to stay offline before it was imported."""
    code = "from m3kit.torch import *\n" + code
    return subprocess.run(
        [sys.executable, "-c", code], env=_OFFLINE, text=True, capture_output=True, check=False
    )


def test_a_model_in_the_hubs_cache_loads_offline(cache: Path, tiny: TorchEncoder) -> None:
    done = _offline(
        f"print(TorchEncoder.from_pretrained('org/name', cache_dir={str(cache)!r}).model)\n"
        f"try: TorchEncoder.from_pretrained('org/name', cache_dir={str(cache)!r}, revision='v2')\n"
        "except CheckpointError as error: print(error)\n"
        f"try: TorchEncoder.from_pretrained('org/other', cache_dir={str(cache)!r})\n"
        "except CheckpointError as error: print(error)\n"
    )
    found, no_revision, no_model = done.stdout.splitlines()
    assert found == tiny.model.replace("tiny", "org/name")
    assert "cannot get 'org/name' from the Hugging Face hub" in no_revision
    assert "HF_HUB_OFFLINE" in no_model
    assert not done.stderr


def test_a_snapshot_is_known_by_its_models_name(cache: Path, tiny: TorchEncoder) -> None:
    snapshot = cache / "models--org--name" / "snapshots" / _COMMIT
    assert TorchEncoder.from_pretrained(snapshot).model == tiny.model.replace("tiny", "org/name")


@pytest.mark.parametrize(
    "path", ["./nothing", "/nothing/here", "~/nothing", "../nothing", "a/b/c", "a\\b"]
)
def test_a_path_that_is_not_there_is_not_looked_up_on_the_hub(path: str) -> None:
    with pytest.raises(CheckpointError, match="does not exist"):
        TorchEncoder.from_pretrained(path)


def test_a_path_object_is_never_a_name_on_the_hub() -> None:
    with pytest.raises(CheckpointError, match="the folder 'org/name' does not exist"):
        TorchEncoder.from_pretrained(Path("org/name"))


def test_a_file_is_not_a_folder(tmp_path: Path) -> None:
    (tmp_path / "model.bin").touch()
    with pytest.raises(CheckpointError, match="is not a folder"):
        TorchEncoder.from_pretrained(tmp_path / "model.bin")


def test_an_own_folder_named_tiny_is_reached_by_a_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tiny").mkdir()
    monkeypatch.chdir(tmp_path)
    assert TorchEncoder.from_pretrained("tiny").dim == WIDTH
    with pytest.raises(CheckpointError, match="tiny is not a checkpoint"):
        TorchEncoder.from_pretrained("./tiny")


def test_a_local_checkpoint_needs_no_hub_client() -> None:
    done = _offline(
        "import sys; list(TorchEncoder.from_pretrained('tiny').encode(['a']))\n"
        "print({'huggingface_hub', 'transformers'} & set(sys.modules))"
    )
    assert (done.stdout.strip(), done.stderr) == ("set()", "")
