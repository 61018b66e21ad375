"""A reranker of random weights that is the same on every machine."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from tests.torch.random_checkpoint import TINY, _backbone, _linear

WIDTH = 64
PAIRS = [
    ("what is a panda?", "hi"),
    ("what is a panda?", "The giant panda is a bear that lives in the mountains of China."),
    ("How do I insert a table?", "Insert a table, then drag its borders until every column fits."),
    ("wie ändere ich die Spaltenbreite?", "表の列の幅を変更するにはどうすればよいですか。"),
    ("", ""),
    ("a question", ""),
    ("", "an answer"),
    ("typed </s> <pad> and <mask>", "<s> of </s> the <unk> tokenizer ☃ \U0001d518  。"),
    ("short", " ".join(["table"] * 700)),
    (" ".join(["query"] * 600), "a passage of a few words"),
    (" ".join(["query"] * 500), " ".join(["table"] * 700)),
    ("what is a panda?", "The giant panda is a bear that lives in the mountains of China."),
]


def write_reranker(folder: Path) -> Path:
    """Write a 2-layer XLM-RoBERTa with a score, as transformers saves one: 4 MB."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        **json.loads((TINY / "config.json").read_text()),
        "architectures": ["XLMRobertaForSequenceClassification"],
        "dtype": "float32",
        "hidden_size": WIDTH,
        "id2label": {"0": "LABEL_0"},
        "label2id": {"LABEL_0": 0},
        "intermediate_size": 2 * WIDTH,
    }
    (folder / "config.json").write_text(json.dumps(config))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(TINY / name, folder / name)
    random = np.random.RandomState(9)
    weights = {f"roberta.{name}": tensor for name, tensor in _backbone(config, random)}
    weights = {name: tensor for name, tensor in weights.items() if "pooler" not in name}
    weights |= dict(_linear("classifier.dense", WIDTH, WIDTH, random))
    weights |= dict(_linear("classifier.out_proj", 1, WIDTH, random))
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    return folder
