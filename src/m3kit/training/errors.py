"""The errors of training."""

from __future__ import annotations

from m3kit.index import M3Error


class TrainingError(M3Error, RuntimeError):
    """Training that cannot begin or go on; the message names the remedy."""


class TrainingDataError(M3Error, ValueError):
    """A line of training data that cannot be used; the message names file and line."""
