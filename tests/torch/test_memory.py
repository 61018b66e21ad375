"""Memory in use, read from the system: of a stream that is not kept, and of a checkpoint."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from benchmarks.memory import STATUS, in_use

from m3kit.torch import TorchEncoder
from m3kit.torch.backbone import spare_rows

_ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(
    not STATUS.is_file(), reason="this system does not say how much memory is in use"
)


def _grown(encoder: TorchEncoder, first: int, count: int) -> int:
    """Encode a stream and keep nothing of it; return by how much the process has grown."""

    def texts() -> Iterator[str]:
        for number in range(first, first + count):
            yield f"text {number % 1000} about " + "tables " * (number % 7)

    before = in_use()
    for _ in encoder.encode(texts()):
        pass
    gc.collect()
    return in_use() - before


@pytest.mark.slow
def test_a_stream_that_is_not_kept_needs_no_more_memory(tiny: TorchEncoder) -> None:
    """Of every size of a batch oneDNN keeps the code, up to a limit: that takes 100,000 texts."""
    _grown(tiny, 0, 100_000)
    assert _grown(tiny, 100_000, 100_000) < 32 * 2**20  # of outputs of 900 MB


def test_few_sizes_are_computed_so_that_few_kernels_are_kept() -> None:
    sizes = {tokens + spare_rows(tokens) for tokens in range(1, 8193)}
    assert len(sizes) <= 16 * 10
    assert all(0 <= spare_rows(tokens) <= tokens // 16 for tokens in range(1, 8193))


def test_a_checkpoint_is_loaded_without_a_second_copy(m3_folder: Path) -> None:
    """The layers' matrices are laid out anew, one at a time; the embeddings stay in their file."""
    code = f"""
import json, sys, threading, torch
from benchmarks.memory import in_use
from m3kit.torch import TorchEncoder
TorchEncoder.from_pretrained("tiny")
before, peak, done = in_use(), 0, threading.Event()
def watch():
    global peak
    while not done.wait(0.002):
        peak = max(peak, in_use())
thread = threading.Thread(target=watch)
thread.start()
encoder = TorchEncoder.from_pretrained({str(m3_folder)!r}, device="cpu")
done.set(); thread.join()
json.dump([in_use() - before, peak - before], sys.stdout)
"""
    run = [sys.executable, "-c", code]
    kept, peak = json.loads(subprocess.run(run, capture_output=True, check=True, cwd=_ROOT).stdout)
    layers = 2 * (12 * 1024**2) * 4 + 1024**2 * 4  # the matrices of two layers and of a head
    positions = 8194 * 1024 * 4
    # A second copy would be another `layers`; what measuring the kernels leaves is 40 MB of any.
    assert kept < positions + 1.7 * layers
    assert peak < positions + 1.9 * layers


_LONG_TEXT = """
import resource
from m3kit.torch import TorchEncoder
encoder = TorchEncoder.from_pretrained("tiny")
encoder.encode_documents(["word " * 60_000])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
encoder.encode_documents(["word " * 1_000_000])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_a_long_text_takes_no_more_memory_than_its_characters() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _LONG_TEXT], check=True, capture_output=True, text=True
    )
    assert int(done.stdout) * 1024 < 5 * 5_000_000  # it was 100 times the text
    assert "the longest has 1,000,003" in done.stderr
