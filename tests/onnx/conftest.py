from __future__ import annotations

from pathlib import Path

import pytest
from tests.torch.random_checkpoint import TINY

from m3kit.cli.export import Precisions, export
from m3kit.onnx import OnnxEncoder
from m3kit.torch import TorchEncoder


@pytest.fixture(scope="session")
def tiny() -> OnnxEncoder:
    return OnnxEncoder.from_pretrained("tiny")


@pytest.fixture(scope="session")
def reference() -> TorchEncoder:
    return TorchEncoder.from_pretrained("tiny")


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What an export of the tiny checkpoint writes, only to be read."""
    folder = tmp_path_factory.mktemp("exported") / "tiny-onnx"
    assert len(list(export(str(TINY), folder, list(Precisions)))) == 4
    return folder
