"""Affine maps on the fastest kernel that the machine has, in a precision of choice."""

from m3kit.torch.kernels.choice import pack
from m3kit.torch.kernels.linear import Kernel, parts
from m3kit.torch.kernels.precision import Precision, compute_dtype, resolve

__all__ = ["Kernel", "Precision", "compute_dtype", "pack", "parts", "resolve"]
