"""
FlagEmbedding's classes over m3kit's encoder: `from m3kit.flag import BGEM3FlagModel`.

Names, arguments and return shapes are those of FlagEmbedding 1.4.2. Arguments that have no meaning
here are accepted, and each class says which; one that does not exist is refused.
"""

from m3kit.flag.auto import FlagAutoModel, FlagAutoReranker
from m3kit.flag.dense import FlagModel
from m3kit.flag.m3 import BGEM3FlagModel
from m3kit.flag.reranker import FlagReranker

__all__ = ["BGEM3FlagModel", "FlagAutoModel", "FlagAutoReranker", "FlagModel", "FlagReranker"]
