"""A local cluster, whose workers are killed: nothing is lost, and nothing is there twice."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from m3kit import Document, M3Output, MemoryIndex, open_index
from m3kit.index import DocumentError
from m3kit.ingest.ledger import Ledger
from m3kit.testing import HashEncoder, records

ray = pytest.importorskip("ray", reason="needs Ray (pip install 'm3kit[ray]')")

from tests.qdrant.conftest import Server  # noqa: E402  # after the skip

from m3kit.ingest.on_ray import Workers, sync_on_ray  # noqa: E402

pytestmark = [
    pytest.mark.usefixtures("cluster"),
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::Warning:ray.*"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

DOCUMENTS = [Document(f"{n}", f"text {n} of some", {"n": n}) for n in range(300)]


class Dies(HashEncoder):
    """An encoder that kills its process at some documents, each once."""

    def __init__(self, folder: Path, deadly: Sequence[str]) -> None:
        self._folder = folder
        self._deadly = deadly

    def encode_documents(self, texts: Sequence[str], reps: Any = None) -> list[M3Output]:
        for text in texts:
            mark = self._folder / text.replace(" ", "-")
            if text in self._deadly and not mark.exists():
                mark.touch()
                os.kill(os.getpid(), signal.SIGKILL)
        return super().encode_documents(texts, reps)


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    root = str(Path(__file__).parents[2])
    path = os.pathsep.join([root, *filter(None, os.environ.get("PYTHONPATH", "").split(":"))])
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        runtime_env={"env_vars": {"PYTHONPATH": path}},
    )
    yield
    ray.shutdown()


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    with Server(tmp_path / "server") as server:
        yield f"qdrant://{server.address}/papers"


def indexed(
    address: str, load: Callable[[], Any], documents: Sequence[Document], **options: Any
) -> Any:
    with open_index(address, encoder=HashEncoder()) as index:
        return sync_on_ray(
            load,
            HashEncoder(),
            index,
            address,
            documents,
            workers=Workers(count=2),
            batch_size=16,
            **options,
        )


def assert_is(address: str, documents: Sequence[Document]) -> None:
    expected = {record.document.id: record for record in records(documents)}
    with open_index(address) as index:
        stored = {record.document.id: record for record in index.scan(None, index.reps)}
        assert index.count() == len(documents)
    assert stored.keys() == expected.keys()
    for id_, record in expected.items():
        assert stored[id_].document == record.document
        assert stored[id_].output.dense is not None
        assert stored[id_].output.dense.tolist() == record.output.dense.tolist()  # type: ignore[union-attr]


def test_killed_workers_lose_nothing_and_double_nothing(address: str, tmp_path: Path) -> None:
    deadly = [DOCUMENTS[n].text for n in (5, 120, 121, 299)]

    def load() -> Dies:
        return Dies(tmp_path, deadly)

    summary = indexed(address, load, DOCUMENTS)
    assert (summary.read, summary.encoded, summary.rejected) == (300, 300, 0)
    assert len([path for path in tmp_path.iterdir() if path.name.startswith("text")]) == 4
    assert_is(address, DOCUMENTS)


def test_the_ledger_s_rules_hold(address: str, tmp_path: Path) -> None:
    def ledgered(documents: Sequence[Document], **options: Any) -> Any:
        with (
            open_index(address, encoder=HashEncoder()) as index,
            Ledger(tmp_path / "ledger", index) as ledger,
        ):
            return sync_on_ray(
                HashEncoder,
                HashEncoder(),
                index,
                address,
                documents,
                workers=Workers(count=2),
                batch_size=16,
                ledger=ledger,
                **options,
            )

    later = Document("3", "another text", {"n": 3})
    assert ledgered([*DOCUMENTS[:99], later]).encoded == 100
    assert_is(address, [*DOCUMENTS[:3], later, *DOCUMENTS[4:99]])
    assert ledgered(DOCUMENTS[:100]).encoded == 2
    again = ledgered(DOCUMENTS[:120])
    assert (again.unchanged, again.encoded) == (100, 20)
    changed = [Document("0", DOCUMENTS[0].text, {"n": -1}), *DOCUMENTS[1:110]]
    third = ledgered(changed, prune=True)
    assert (third.unchanged, third.rewritten, third.encoded, third.deleted) == (109, 1, 0, 10)
    assert_is(address, changed)


class Refuses(HashEncoder):
    """An encoder whose vectors of some texts are no vectors."""

    def encode_documents(self, texts: Sequence[str], reps: Any = None) -> list[M3Output]:
        outputs = super().encode_documents(texts, reps)
        nowhere = np.full(self.dim, np.nan, np.float32)
        return [
            replace(output, dense=nowhere) if "13 of" in text else output
            for text, output in zip(texts, outputs, strict=True)
        ]


def test_what_the_store_refuses_is_rejected_by_name(address: str) -> None:
    summary = indexed(address, Refuses, DOCUMENTS[:20])
    assert (summary.encoded, summary.rejected) == (19, 1)
    with pytest.raises(DocumentError, match="not finite"):
        indexed(address, Refuses, DOCUMENTS[:20], strict=True)


def test_an_index_in_files_is_refused(tmp_path: Path) -> None:
    index = MemoryIndex(32)
    with pytest.raises(ValueError, match="one process alone can write"):
        sync_on_ray(HashEncoder, HashEncoder(), index, str(tmp_path / "index"), [])
