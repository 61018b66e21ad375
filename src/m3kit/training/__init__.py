"""Fine-tuning of BGE-M3, of dense models and of rerankers: `finetune`."""

from m3kit.training.batches import TextOptions
from m3kit.training.batching import BatchOptions
from m3kit.training.data import Example, read_examples
from m3kit.training.errors import TrainingDataError, TrainingError
from m3kit.training.finetune import Finetuned, finetune
from m3kit.training.lora import LoraOptions
from m3kit.training.losses import LossOptions
from m3kit.training.options import FinetuneOptions
from m3kit.training.reranker import RerankerOptions, finetune_reranker

__all__ = [
    "BatchOptions",
    "Example",
    "FinetuneOptions",
    "Finetuned",
    "LoraOptions",
    "LossOptions",
    "RerankerOptions",
    "TextOptions",
    "TrainingDataError",
    "TrainingError",
    "finetune",
    "finetune_reranker",
    "read_examples",
]
