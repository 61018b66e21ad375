"""
Make the graph of the tiny model anew: `python -m tests.onnx.make_tiny`.

It points into the checkpoint's own `model.safetensors`, and takes no room but for the two heads.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from m3kit.backend.checkpoint import read_checkpoint
from m3kit.onnx.export import write_graph
from m3kit.onnx.stored import stored_in, write_stored
from m3kit.torch.export import tensors

TINY = Path(str(files("m3kit").joinpath("checkpoints", "tiny")))


def make(folder: Path) -> None:
    """Write `fp32.onnx` and `fp32.data` into a folder where the checkpoint is."""
    checkpoint = read_checkpoint("tiny", folder)
    heads = ((name, values) for name, values in tensors(checkpoint) if "_linear." in name)
    stored = {
        **stored_in(checkpoint.weights_files()[0]),
        **write_stored(folder / "fp32.data", heads),
    }
    write_graph(checkpoint, stored, folder, "fp32")


if __name__ == "__main__":
    make(TINY)
