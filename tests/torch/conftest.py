from __future__ import annotations

from pathlib import Path

import pytest
from tests.torch.random_checkpoint import write_m3

from m3kit.torch import TorchEncoder


@pytest.fixture(scope="session")
def tiny() -> TorchEncoder:
    return TorchEncoder.from_pretrained("tiny")


@pytest.fixture(scope="session")
def m3_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_m3(tmp_path_factory.mktemp("m3"))
