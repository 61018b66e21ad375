"""BGE-M3 in PyTorch: `TorchEncoder.from_pretrained("BAAI/bge-m3")`."""

from m3kit.torch.encoder import TorchEncoder
from m3kit.torch.files import CheckpointError

__all__ = ["CheckpointError", "TorchEncoder"]
