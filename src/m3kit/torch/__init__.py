"""BGE-M3 in PyTorch: `TorchEncoder.from_pretrained("BAAI/bge-m3")`."""

from m3kit.backend.files import CheckpointError
from m3kit.torch.encoder import TorchEncoder

__all__ = ["CheckpointError", "TorchEncoder"]
