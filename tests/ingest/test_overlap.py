"""Reading, encoding and writing at the same time, and how a run is stopped."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from threading import Event

import pytest

from m3kit import Document, M3Output, MemoryIndex, Record, Rep, Retriever
from m3kit._overlap import overlapped, prefetched
from m3kit.ingest import Ledger, Stopped, sync
from m3kit.testing import DIM, HashEncoder

PATIENCE_S = 20
POSIX = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")


def documents(count: int) -> Iterator[Document]:
    return (Document(f"{n:03}", f"text {n}") for n in range(count))


class Meeting:
    """An encoder and an index that wait for each other: only at the same time can both go on."""

    def __init__(self) -> None:
        self.encodes, self.writes = Event(), Event()
        meeting = self

        class MeetingEncoder(HashEncoder):
            batches = 0

            def encode_documents(
                self, texts: Sequence[str], reps: Collection[Rep] | None = None
            ) -> list[M3Output]:
                self.batches += 1
                if self.batches == 2:
                    meeting.encodes.set()
                    assert meeting.writes.wait(PATIENCE_S)
                return super().encode_documents(texts, reps)

        class MeetingIndex(MemoryIndex):
            def upsert(self, records: Sequence[Record], /) -> None:
                if not self.count():
                    meeting.writes.set()
                    assert meeting.encodes.wait(PATIENCE_S)
                super().upsert(records)

        self.encoder, self.index = MeetingEncoder(), MeetingIndex(DIM)


def test_a_batch_is_encoded_while_another_is_written() -> None:
    for run in (
        lambda meeting: Retriever(meeting.encoder, meeting.index).add(documents(12), batch_size=4),
        lambda meeting: sync(meeting.encoder, meeting.index, documents(12), batch_size=4),
    ):
        meeting = Meeting()
        run(meeting)
        assert meeting.index.count() == 12


def test_the_index_is_written_in_the_callers_thread_alone() -> None:
    threads = set()

    class Index(MemoryIndex):
        def upsert(self, records: Sequence[Record], /) -> None:
            threads.add(threading.current_thread())
            super().upsert(records)

    sync(HashEncoder(), Index(DIM), documents(9), batch_size=2)
    assert threads == {threading.current_thread()}


def test_no_stage_runs_far_ahead() -> None:
    read: list[int] = []
    written: list[tuple[int, int]] = []

    def many() -> Iterator[Document]:
        for document in documents(400):
            read.append(1)
            yield document

    class Index(MemoryIndex):
        def upsert(self, records: Sequence[Record], /) -> None:
            super().upsert(records)
            written.append((self.count(), len(read)))

    sync(HashEncoder(), Index(DIM), many(), batch_size=4)
    assert max(ahead - done for done, ahead in written) <= 4 * 12


def test_results_come_in_order_and_errors_after_what_was_before_them() -> None:
    def failing() -> Iterator[int]:
        yield from range(5)
        raise OSError("unplugged")

    for ahead in (1, 2, 9):
        results: list[int] = []
        with pytest.raises(OSError, match="unplugged"):
            results.extend(overlapped(lambda n: n * 2, failing(), threads=2, ahead=ahead))
        assert results == [0, 2, 4, 6, 8]
        with pytest.raises(OSError, match="unplugged"):
            results.extend(prefetched(failing(), ahead=ahead))
        assert results[5:] == [0, 1, 2, 3, 4]
    with pytest.raises(ZeroDivisionError):
        list(overlapped(lambda n: 1 // n, range(5), threads=1, ahead=2))


def test_a_stream_that_is_given_up_is_read_no_further() -> None:
    read: list[int] = []
    ended = Event()

    def endless() -> Iterator[int]:
        try:
            while True:
                read.append(1)
                yield len(read)
        finally:
            ended.set()

    with closing(prefetched(endless(), ahead=2)) as numbers:
        assert next(numbers) == 1
    assert ended.wait(PATIENCE_S)
    assert len(read) <= 5


@POSIX
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_lets_the_write_under_way_end_and_its_ledger_knows(
    tmp_path: Path, number: signal.Signals
) -> None:
    handlers = [signal.getsignal(kind) for kind in (signal.SIGINT, signal.SIGTERM)]

    class Index(MemoryIndex):
        def upsert(self, records: Sequence[Record], /) -> None:
            if self.count() == 8:
                os.kill(os.getpid(), number)
            super().upsert(records)

    index = Index(DIM)
    with Ledger(tmp_path / "ledger", index) as ledger:
        with pytest.raises(Stopped) as stopped:
            sync(HashEncoder(), index, documents(40), ledger=ledger, batch_size=4)
        assert stopped.value.signal_number == number
        assert "12 documents were written before" in stopped.value.__notes__[0]
        assert index.count() == ledger.count() == 12
        assert sync(HashEncoder(), index, documents(40), ledger=ledger).unchanged == 12
    assert handlers == [signal.getsignal(kind) for kind in (signal.SIGINT, signal.SIGTERM)]


@POSIX
def test_a_second_signal_interrupts_a_write_that_hangs() -> None:
    class Index(MemoryIndex):
        def upsert(self, _: Sequence[Record], /) -> None:
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGTERM)
            Event().wait(PATIENCE_S)
            raise AssertionError("it was not interrupted")

    with pytest.raises(Stopped):
        sync(HashEncoder(), Index(DIM), documents(4))
