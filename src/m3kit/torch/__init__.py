"""BGE-M3 in PyTorch: `TorchEncoder.from_pretrained("BAAI/bge-m3")`."""

from m3kit.backend.files import CheckpointError
from m3kit.torch.cross_encoder import CrossEncoder
from m3kit.torch.encoder import TorchEncoder
from m3kit.torch.passages import Passages

__all__ = ["CheckpointError", "CrossEncoder", "Passages", "TorchEncoder"]
