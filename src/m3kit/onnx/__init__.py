"""BGE-M3 in ONNX Runtime, without PyTorch: `OnnxEncoder.from_pretrained("bge-m3-onnx")`."""

from m3kit.backend.files import CheckpointError
from m3kit.onnx.encoder import OnnxEncoder

__all__ = ["CheckpointError", "OnnxEncoder"]
