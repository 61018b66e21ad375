"""The sizes of the model that ships, by its `config.json`."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

_CONFIG: dict[str, Any] = json.loads(
    files("m3kit").joinpath("checkpoints", "tiny", "config.json").read_text("utf-8")
)
WIDTH: int = _CONFIG["hidden_size"]
PIECES: int = _CONFIG["vocab_size"]
LONGEST: int = _CONFIG["max_position_embeddings"] - 2
"""The longest text in tokens."""
