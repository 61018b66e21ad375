"""The encoder in forked and spawned processes, pickled and copied."""

from __future__ import annotations

import copy
from functools import partial
from pathlib import Path

from tests.processes import in_fork, pickled

from m3kit.onnx import OnnxEncoder
from m3kit.scoring import require

_TEXTS = ["hello", "a table of pandas " * 100]


def _vectors(encoder: OnnxEncoder) -> list[object]:
    return [
        require(output.dense, "dense").tolist()
        for output in encoder.encode_documents(_TEXTS, ["dense"])
    ]


def test_a_forked_process_computes(tiny: OnnxEncoder) -> None:
    for encoder in (tiny, OnnxEncoder.from_pretrained("tiny", threads=4)):
        assert in_fork(partial(_vectors, encoder)) == str(_vectors(encoder))


def test_a_pickle_loads_the_same_graph(exported: Path) -> None:
    encoder = OnnxEncoder.from_pretrained(exported, precision="int8", document_max_length=20)
    other = pickled(encoder)
    assert _vectors(other) == _vectors(encoder)
    assert copy.deepcopy(encoder) is encoder
