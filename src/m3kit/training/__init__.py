"""
Fine-tuning of BGE-M3, of dense models and of rerankers; mining of its data; pre-training.

Needs `pip install 'm3kit[train]'`. `docs/train.md` is the guide; `docs/mine.md` and
`docs/pretrain.md` are those of what is done before it.
"""

from m3kit.training.batches import TextOptions
from m3kit.training.batching import BatchOptions
from m3kit.training.data import Example, read_examples
from m3kit.training.errors import TrainingDataError, TrainingError
from m3kit.training.finetune import Finetuned, finetune
from m3kit.training.lora import LoraOptions
from m3kit.training.losses import LossOptions
from m3kit.training.mining import MiningOptions, mine
from m3kit.training.options import FinetuneOptions
from m3kit.training.pretraining import PretrainOptions, pretrain
from m3kit.training.queries import (
    MiningQuery,
    from_callable,
    from_examples,
    from_headings,
    from_spans,
)
from m3kit.training.reranker import RerankerOptions, finetune_reranker
from m3kit.training.teacher import score, to_line, write_examples

__all__ = [
    "BatchOptions",
    "Example",
    "FinetuneOptions",
    "Finetuned",
    "LoraOptions",
    "LossOptions",
    "MiningOptions",
    "MiningQuery",
    "PretrainOptions",
    "RerankerOptions",
    "TextOptions",
    "TrainingDataError",
    "TrainingError",
    "finetune",
    "finetune_reranker",
    "from_callable",
    "from_examples",
    "from_headings",
    "from_spans",
    "mine",
    "pretrain",
    "read_examples",
    "score",
    "to_line",
    "write_examples",
]
