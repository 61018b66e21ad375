from __future__ import annotations

from pathlib import Path

import pytest
from tests.torch.corpus import texts
from tests.torch.random_checkpoint import TINY, write_bert
from tests.torch.random_reranker import write_reranker

from m3kit.flag import BGEM3FlagModel, FlagModel, FlagReranker


@pytest.fixture(scope="session")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with checkpoints under the names that they have on the hub."""
    folder = tmp_path_factory.mktemp("hub")
    (folder / "BAAI").mkdir()
    (folder / "BAAI" / "bge-m3").symlink_to(TINY)
    (folder / "models--BAAI--bge-m3").symlink_to(TINY)
    write_bert(folder / "BAAI" / "bge-large-zh-v1.5", "".join(texts(512)))
    write_reranker(folder / "BAAI" / "bge-reranker-v2-m3")
    return folder


@pytest.fixture(scope="session")
def m3() -> BGEM3FlagModel:
    return BGEM3FlagModel("tiny", devices="cpu")


@pytest.fixture(scope="session")
def dense(hub: Path) -> FlagModel:
    return FlagModel(str(hub / "BAAI" / "bge-large-zh-v1.5"), devices="cpu")


@pytest.fixture(scope="session")
def reranker(hub: Path) -> FlagReranker:
    return FlagReranker(str(hub / "BAAI" / "bge-reranker-v2-m3"), devices="cpu")
