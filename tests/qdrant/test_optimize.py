"""What becomes of an index that is optimized: meanwhile, afterwards, and after a kill."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from errno import ENOSPC
from pathlib import Path
from threading import Event, Thread
from typing import Any

import numpy as np
import pytest

from m3kit import Document, M3Output, MemoryIndex, Record, Search, open_index
from m3kit.filters import All, Eq, Range
from m3kit.index import IndexNotFoundError, ReadOnlyError, UnsupportedError
from m3kit.optimization import Graph, Optimizable, Optimization, optimize
from m3kit.testing import DIM, DOCUMENTS, assert_same_hits, query, records
from m3kit.vectors import Rep, Sparse
from m3kit_qdrant import EdgeIndex, QdrantIndex

SMALL = Graph(min_documents=100)
NUMBER = 400


def corpus(numbers: Sequence[int]) -> list[Record]:
    """Documents whose vectors their numbers alone decide."""
    made = []
    for n in numbers:
        rng = np.random.default_rng(n)
        rows = rng.standard_normal((3, DIM)).astype(np.float32)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        sparse = Sparse.from_dict({n % 17: 0.5, 100 + n % 5: 0.25})
        document = Document(f"{n}", f"text {n}", {"n": n, "tenth": n * 0.1})
        made.append(Record(document, M3Output(dense=rows[0], sparse=sparse, colbert=rows)))
    return made


def near(n: int, k: int = 10, rep: Rep = "dense", **options: Any) -> Search:
    (record,) = corpus([n])
    return Search(query=record.output.only(rep), k=k, **options)


def assert_holds(index: EdgeIndex, numbers: Sequence[int]) -> None:
    """The index holds these documents, with all that they were written with, and no other."""
    oracle = MemoryIndex(DIM)
    oracle.upsert(corpus(numbers))
    scanned = {record.document.id: record for record in index.scan(None, index.reps)}
    assert scanned.keys() == {f"{n}" for n in numbers}
    for record in oracle.scan(None, oracle.reps):
        stored = scanned[record.document.id]
        assert stored.document == record.document
        assert stored.output.dense is not None
        assert stored.output.colbert is not None
        assert stored.output.sparse is not None
        np.testing.assert_array_equal(stored.output.dense, record.output.dense)
        np.testing.assert_array_equal(stored.output.colbert, record.output.colbert)
        assert stored.output.sparse.to_dict() == record.output.sparse.to_dict()  # type: ignore[union-attr]
    for rep in index.reps:
        search = near(10**6, rep=rep, exact=True)
        assert_same_hits(index.search(search), oracle.search(search))


def folders(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir() if path.is_dir())


@pytest.fixture
def index(directory: Path) -> Any:
    with EdgeIndex(directory, dim=DIM, model="hash@1") as index:
        index.upsert(corpus(range(NUMBER)))
        yield index


# Afterwards


def test_searches_are_exact_until_it_is_optimized_and_then_say_what_they_miss(
    index: EdgeIndex, directory: Path
) -> None:
    before = index.optimization
    assert before is None
    optimization = index.optimize(SMALL)
    assert optimization is not None
    assert optimization == index.optimization
    assert optimization.documents == NUMBER
    assert 0.98 <= optimization.recall <= 1
    assert optimization.queries == 200
    assert_holds(index, range(NUMBER))
    index.close()
    (folder,) = folders(directory)
    assert folder != "edge"
    with EdgeIndex(directory) as opened:
        assert opened.optimization == optimization
        assert opened.model == "hash@1"
        assert_holds(opened, range(NUMBER))


def test_the_graph_is_asked_and_exact_asks_every_vector(
    index: EdgeIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.optimize(Graph(min_documents=100, m=4, ef_construct=4, recall=0.01))
    monkeypatch.setattr(index._engine, "_graph", _narrow())
    true = [hit.document.id for hit in index.search(near(7, exact=True))]
    missed = sum(
        len(
            {hit.document.id for hit in index.search(near(n, exact=True))}
            - {hit.document.id for hit in index.search(near(n))}
        )
        for n in range(10**6, 10**6 + 40)
    )
    oracle = MemoryIndex(DIM)
    oracle.upsert(corpus(range(NUMBER)))
    assert true == [hit.document.id for hit in oracle.search(near(7))]
    assert missed > 0


def _narrow() -> Any:
    from m3kit_qdrant.edge_config import approximate

    return approximate({"hnsw_ef": 1})


def test_a_recall_that_is_wanted_decides_how_wide_a_graph_is_searched(index: EdgeIndex) -> None:
    low = index.optimize(Graph(min_documents=100, m=4, ef_construct=4, recall=0.01))
    assert low is not None
    assert low.search == {"hnsw_ef": 64, "oversampling": 2}


def test_the_recall_that_is_measured_is_that_of_queries_which_are_no_documents(
    directory: Path,
) -> None:
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((4_300, 32)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    documents, queries = vectors[:4_000], vectors[4_000:]
    with EdgeIndex(directory, dim=32, reps=["dense"]) as index:
        index.upsert(
            [Record(Document(f"{n}", ""), M3Output(dense=row)) for n, row in enumerate(documents)]
        )
        graph = Graph(min_documents=100, m=6, ef_construct=32, recall=0.01)
        measured = index.optimize(graph)

        def recall(vectors: Any, skip: int) -> float:
            shares = []
            for vector in vectors:
                search = Search(query=M3Output(dense=vector), k=10 + skip)
                true = np.argsort(-(documents @ vector))[skip : 10 + skip]
                hits = {hit.document.id for hit in index.search(search)}
                shares.append(len(hits & {f"{n}" for n in true}) / 10)
            return float(np.mean(shares))

        of_queries, of_documents = recall(queries, 0), recall(documents[:300], 1)
    assert measured is not None
    assert of_queries - 0.15 < measured.recall <= of_queries + 0.01
    assert of_documents > of_queries + 0.03


def test_of_documents_that_are_equally_near_any_will_do(directory: Path) -> None:
    originals = corpus(range(20))
    with EdgeIndex(directory, dim=DIM) as index:
        index.upsert(
            [Record(Document(f"{n}", "same"), originals[n % 20].output) for n in range(NUMBER)]
        )
        optimization = index.optimize(SMALL)
    assert optimization is not None
    assert optimization.recall > 0.98


@pytest.mark.parametrize("graph", [SMALL, Graph(min_documents=100, quantize=False, on_disk=False)])
def test_scores_of_an_optimized_index_are_those_of_the_vectors(
    index: EdgeIndex, graph: Graph
) -> None:
    index.optimize(graph)
    oracle = MemoryIndex(DIM)
    oracle.upsert(corpus(range(NUMBER)))
    scores = {hit.document.id: hit.score for hit in oracle.search(near(3, NUMBER))}
    for hit in index.search(near(3, 20)):
        assert hit.score == pytest.approx(scores[hit.document.id], abs=1e-5)
    everything = Search(query=corpus([3])[0].output, k=5, where=Range("n", lt=50))
    assert_same_hits(index.search(everything), oracle.search(everything))


def test_a_small_index_and_one_without_dense_vectors_stay_exact(tmp_path: Path) -> None:
    cases: dict[str, list[Rep]] = {"small": ["dense"], "sparse": ["sparse", "colbert"]}
    for name, reps in cases.items():
        with EdgeIndex(tmp_path / name, dim=DIM, reps=reps) as index:
            index.upsert(corpus(range(150)))
            graph = Graph() if name == "small" else SMALL
            assert index.optimize(graph) is None
            assert index.optimization is None
            assert index.count() == 150


def test_deleted_documents_lose_their_room_and_their_texts(directory: Path) -> None:
    secret = "a text that nobody is to read again " * 20
    with EdgeIndex(directory, dim=DIM, reps=["dense"]) as index:
        (first, *_) = corpus([0])
        gone = [Record(Document(f"gone {n}", secret), first.output) for n in range(100)]
        index.upsert([*corpus(range(300)), *gone])
        index.optimize(SMALL)
        index.delete([record.document.id for record in gone])
        index.optimize(SMALL)
        assert index.count() == 300
    whole = b"".join(
        path.read_bytes()
        for path in (directory / folders(directory)[0] / "segments").rglob("*")
        if path.is_file()
    )
    assert secret.encode() not in whole


def test_readers_search_by_the_graph_and_do_not_optimize(directory: Path) -> None:
    with EdgeIndex(directory, dim=DIM, reps=["dense"]) as index:
        index.upsert(corpus(range(150)))
        optimization = index.optimize(SMALL)
    with open_index(directory, read_only=True) as reader:
        assert isinstance(reader, Optimizable)
        assert reader.optimization == optimization is not None
        assert reader.search(near(7, 1))[0].document.id == "7"
        with pytest.raises(ReadOnlyError):
            optimize(reader)


def test_it_can_be_optimized_again_and_again(index: EdgeIndex, directory: Path) -> None:
    for n in range(2):
        index.upsert(corpus(range(NUMBER + n * 50, NUMBER + n * 50 + 50)))
        optimization = index.optimize(SMALL)
        assert optimization is not None
        assert optimization.documents == NUMBER + (n + 1) * 50
        assert len(folders(directory)) == 1
    index.delete_where(Eq("n", 3))
    assert_holds(index, [n for n in range(NUMBER + 100) if n != 3])


# Meanwhile


def during(index: EdgeIndex, work: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Optimize, and do something after the copy is made and before the child may build."""
    from m3kit_qdrant.edge_optimize import EdgeOptimizer

    build, copied, go_on = EdgeOptimizer._build, Event(), Event()

    def waiting(self: EdgeOptimizer, *args: Any) -> Any:
        copied.set()
        assert go_on.wait(60)
        return build(self, *args)

    monkeypatch.setattr(EdgeOptimizer, "_build", waiting)
    errors: list[BaseException] = []

    def run() -> None:
        try:
            index.optimize(SMALL)
        except BaseException as error:  # noqa: BLE001  # raised in the test's thread
            errors.append(error)

    thread = Thread(target=run)
    thread.start()
    assert copied.wait(60)
    try:
        work()
    finally:
        go_on.set()
        thread.join()
    if errors:
        raise errors[0]


def test_what_is_written_and_deleted_meanwhile_is_carried_over(
    index: EdgeIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("m3kit_qdrant.edge_optimize._FEW", 30)
    replaced = Record(Document("5", "another text", {"n": 5}), corpus([900])[0].output)

    def work() -> None:
        index.upsert(corpus(range(NUMBER, NUMBER + 60)))
        index.upsert([replaced])
        index.delete(["7", "unknown"])
        index.delete_where(Range("n", ge=20, lt=25))
        index.delete(["450"])
        index.delete(["8"])
        index.upsert(corpus([8]))
        assert [hit.document.id for hit in index.search(near(401, 1))] == ["401"]

    during(index, work, monkeypatch)
    assert index.optimization is not None
    (stored,) = index.get(["5"])
    assert stored.document == replaced.document
    index.upsert(corpus([5]))
    gone = {7, 450, *range(20, 25)}
    assert_holds(index, [n for n in range(NUMBER + 60) if n not in gone])


def test_an_index_of_a_field_that_is_made_meanwhile_is_made_again(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with EdgeIndex(directory, dim=DIM, reps=["dense"]) as index:
        index.upsert(corpus(range(1100)))
        during(index, lambda: assert_count(index, Range("n", lt=10), 10), monkeypatch)
        assert "metadata.n" in index._engine._shard.info().payload_schema
        assert_count(index, Range("n", lt=10), 10)


def assert_count(index: EdgeIndex, where: Any, count: int) -> None:
    assert index.count(where) == count


def test_threads_search_and_write_while_it_is_optimized(index: EdgeIndex) -> None:
    done, failures, searches = Event(), list[BaseException](), [0]
    written: list[int] = []

    def search() -> None:
        while not done.is_set():
            try:
                hits = index.search(near(searches[0] % 300, 1))
                assert hits[0].score == pytest.approx(1, abs=1e-5)
                assert len(list(index.scan())) >= NUMBER
            except BaseException as error:  # noqa: BLE001  # told by the test's thread
                failures.append(error)
                return
            searches[0] += 1

    def write() -> None:
        for n in range(NUMBER, 10**6):
            if done.is_set():
                return
            index.upsert(corpus([n]))
            written.append(n)
            done.wait(0.01)

    threads = [Thread(target=search), Thread(target=search), Thread(target=write)]
    for thread in threads:
        thread.start()
    index.optimize(SMALL)
    done.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert searches[0] > 10
    assert_holds(index, [*range(NUMBER), *written])


def test_closing_ends_it_and_leaves_the_index_as_it_was(
    index: EdgeIndex, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = folders(directory)
    with pytest.raises(ValueError, match="was closed while it was optimized"):
        _close_during(index, monkeypatch)
    assert folders(directory) == before
    with EdgeIndex(directory) as opened:
        assert_holds(opened, range(NUMBER))


def _close_during(index: EdgeIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    closing = Thread(target=index.close)

    def work() -> None:
        closing.start()
        while not index._optimizer._cancelled:
            pass

    try:
        during(index, work, monkeypatch)
    finally:
        closing.join()


def test_two_threads_do_not_optimize_at_once(
    index: EdgeIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    def again() -> None:
        with pytest.raises(ValueError, match="is being optimized already"):
            index.optimize(SMALL)

    during(index, again, monkeypatch)


# Failures


def test_a_child_that_fails_leaves_the_index_as_it_was(
    index: EdgeIndex, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("m3kit_qdrant.edge_optimize.sys.executable", shutil.which("false"))
    with pytest.raises((RuntimeError, BrokenPipeError), match=r"failed|Broken pipe"):
        index.optimize(SMALL)
    assert folders(directory) == ["edge"]
    assert index.optimization is None
    assert_holds(index, range(NUMBER))


def test_room_on_the_disk_is_checked_before_anything_is_done(
    index: EdgeIndex, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(directory)._replace(free=100 * 2**20)
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    with pytest.raises(OSError, match=r"has 100 MiB free and optimizing takes, .* \d+") as caught:
        index.optimize(SMALL)
    assert caught.value.errno == ENOSPC
    assert folders(directory) == ["edge"]


DIE = """
import os, signal, sys, time
from pathlib import Path
from threading import Thread
import m3kit_qdrant.edge_optimize as module
from m3kit_qdrant import EdgeIndex, edge_client
from m3kit_qdrant.directory import Directory
from m3kit_qdrant.edge_optimize import EdgeOptimizer
from m3kit_qdrant.edge_shard import Shard
from m3kit.optimization import Graph
from m3kit.testing import DIM
sys.path.insert(0, sys.argv[3])
from tests.qdrant.test_optimize import corpus

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def dies(owner, name, *, after):
    original = getattr(owner, name)
    def replacement(*args, **options):
        if not after:
            die()
        original(*args, **options)
        die()
    setattr(owner, name, replacement)

index = EdgeIndex(sys.argv[1], dim=DIM)
index.upsert(corpus(range(300)))
match sys.argv[2]:
    case "copying":
        from m3kit.adapters import read_only
        copies = [0]
        original = read_only._copy
        def copy(*args):
            copies[0] += 1
            if copies[0] > 8:
                die()
            original(*args)
        read_only._copy = copy
    case "copied":
        dies(EdgeOptimizer, "_build", after=False)
    case "built":
        dies(EdgeOptimizer, "_build", after=True)
    case "loaded":
        dies(EdgeOptimizer, "_replace", after=False)
    case "carried over":
        dies(edge_client.EdgeEngine, "carry_over_indexes", after=True)
    case "written beside":
        dies(os, "fsync", after=True)
    case "adopted":
        dies(Directory, "adopt", after=True)
    case "replaced":
        dies(EdgeOptimizer, "_replace", after=True)
    case delay:
        Thread(target=lambda: (time.sleep(float(delay)), die()), daemon=True).start()

def write():
    for n in range(300, 10**6):
        index.upsert(corpus([n]))
        print(n + 1, flush=True)
        time.sleep(0.01)

Thread(target=write, daemon=True).start()
while True:
    index.optimize(Graph(min_documents=100))
"""


def killed(directory: Path, step: str) -> None:
    """Kill a process at a step of `optimize`, while it writes, and hold the index to its word."""
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", DIE, str(directory), step, str(root)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == -9, done.stderr
    acknowledged = max([300, *(int(line) for line in done.stdout.split("\n")[:-1])])
    with EdgeIndex(directory) as index:
        assert len(folders(directory)) == 1
        count = index.count()
        assert acknowledged <= count <= acknowledged + 1
        assert_holds(index, range(count))


@pytest.mark.parametrize(
    "step",
    [
        "copying",
        "written beside",
        "adopted",
        "replaced",
        *(
            pytest.param(s, marks=pytest.mark.slow)
            for s in ("copied", "built", "loaded", "carried over")
        ),
    ],
)
def test_a_kill_at_any_step_loses_nothing_and_leaves_nothing(directory: Path, step: str) -> None:
    killed(directory, step)


@pytest.mark.slow
@pytest.mark.parametrize("delay", np.arange(0.02, 3, 0.1).round(2).tolist())
def test_a_kill_at_any_instant_loses_nothing(directory: Path, delay: float) -> None:
    killed(directory, f"{delay}")


def test_a_killed_child_leaves_the_index_as_it_was(index: EdgeIndex, directory: Path) -> None:
    def kill() -> None:
        while (process := index._optimizer._process) is None:
            pass
        process.kill()

    thread = Thread(target=kill)
    thread.start()
    with pytest.raises(RuntimeError, match=r"failed \(exit code -9\); the index is as it was"):
        index.optimize(SMALL)
    thread.join()
    assert folders(directory) == ["edge"]
    assert_holds(index, range(NUMBER))


def test_what_a_killed_process_left_is_removed_and_nothing_else(directory: Path) -> None:
    with EdgeIndex(directory, dim=DIM) as index:
        index.upsert(corpus(range(150)))
        index.optimize(SMALL)
    for name in ("edge", "edge.0a1b2c3d", "edge.backup"):
        shutil.copytree(directory / folders(directory)[-1], directory / name)
    with EdgeIndex(directory) as index:
        assert_holds(index, range(150))
    assert len(folders(directory)) == 2
    assert "edge.backup" in folders(directory)


def test_an_index_whose_optimized_files_are_gone_is_damaged_and_left_alone(directory: Path) -> None:
    with EdgeIndex(directory, dim=DIM) as index:
        index.upsert(corpus(range(150)))
        index.optimize(SMALL)
    (folder,) = folders(directory)
    (directory / folder).rename(directory / "edge.0a1b2c3d")
    with pytest.raises(IndexNotFoundError, match=rf"edge.0a1b2c3d/ where {folder}/ belongs"):
        EdgeIndex(directory)
    assert folders(directory) == ["edge.0a1b2c3d"]
    shutil.rmtree(directory / "edge.0a1b2c3d")
    with pytest.raises(IndexNotFoundError, match=rf"its folder {folder}/ is gone"):
        EdgeIndex(directory)


# Other stores


def test_an_index_in_memory_has_nothing_to_optimize() -> None:
    with pytest.raises(UnsupportedError, match="MemoryIndex has nothing to optimize"):
        optimize(MemoryIndex(DIM))


def test_local_mode_says_where_a_graph_is_built() -> None:
    from qdrant_client import QdrantClient

    client = QdrantClient(":memory:")
    index = QdrantIndex(client, "papers", dim=DIM)
    with pytest.raises(UnsupportedError, match="m3kit copy"):
        optimize(index)
    client.close()


def test_a_server_is_waited_for(server: Any) -> None:
    with open_index(f"qdrant://{server.address}/papers", dim=DIM, model="hash@1") as index:
        index.upsert(records(DOCUMENTS))
        server.statuses = ["grey", "yellow"]
        assert optimize(index) is None
        assert server.statuses == []
        assert ("PATCH collections/papers", {"optimizers_config": {}}) in server.bodies
        with pytest.raises(UnsupportedError, match=r"QdrantOptions\.dense"):
            optimize(index, SMALL)
        server.statuses = ["red"]
        with pytest.raises(RuntimeError, match="could not optimize"):
            optimize(index)


def test_exact_is_asked_of_a_server(server: Any) -> None:
    with open_index(f"qdrant://{server.address}/papers", dim=DIM, model="hash@1") as index:
        index.upsert(records(DOCUMENTS))
        for exact, expected in ((True, True), (False, None), (None, None)):
            server.bodies.clear()
            index.search(Search(query=query("bear", "dense"), exact=exact))
            (body,) = [body for verb, body in server.bodies if verb.endswith("query/batch")]
            params = body["searches"][0].get("params") or {}
            assert params.get("exact") is expected


def test_an_optimization_is_json_and_a_sentence() -> None:
    optimization = Optimization(1000, 0.9876, 100, {"hnsw_ef": 128})
    assert Optimization.from_json(optimization.to_json()) == optimization
    assert "recall@10 0.988 of 100 of 1000 documents (hnsw_ef 128)" in str(optimization)


@pytest.mark.parametrize(
    ("options", "error"),
    [({"m": 3}, "at least 4 edges"), ({"recall": 0}, "recall is above 0"), ({"m": "x"}, "integer")],
)
def test_a_graph_out_of_range_is_refused(options: dict[str, Any], error: str) -> None:
    with pytest.raises((ValueError, TypeError), match=error):
        Graph(**options)


def test_exact_is_a_boolean() -> None:
    with pytest.raises(TypeError, match="exact is True, False or None"):
        Search(query=query("bear"), exact="yes")  # type: ignore[arg-type]  # refused


def test_everything_may_be_deleted_before_it_is_optimized(index: EdgeIndex) -> None:
    index.delete_where(All())
    assert index.optimize(SMALL) is None
    assert index.count() == 0
