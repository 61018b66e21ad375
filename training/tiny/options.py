"""The sizes of the model and the settings of its training."""

from __future__ import annotations

from dataclasses import dataclass

STAGE_2 = ("steps", "batch", "rate", "kept_weight", "begun_share", "fit_batches", "fit_steps")
"""The options that stage 1 does not depend on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """
    What is trained, and how long.

    Args:
        vocabulary: Pieces of the tokenizer.
        width: Of hidden states and vectors.
        heads: Attention heads.
        layers: Transformer layers.
        inner: Width of the feed-forward layers.
        positions: The longest text in tokens.
        noise: Size of the random part of an embedding beside its part of unit length that latent
            semantic analysis gives. It tells apart words that mean nearly the same.
        query_length: Tokens of a query in training.
        passage_length: Tokens of a passage in training.
        long_length: Tokens of a passage in batches of whole pages, which have a quarter of the
            pairs.
        temperature: What scores are divided by.
        bag_steps: Steps of stage 1.
        bag_batch: Pairs of a step of stage 1.
        bag_rate: Learning rate of stage 1.
        bag_kept_weight: Of the loss that keeps directions near those of latent semantic analysis.
        steps: Steps of stage 2.
        batch: Pairs of a step of stage 2.
        rate: Learning rate of stage 2.
        kept_weight: Of the loss that keeps dense vectors of other texts as they are.
        fit_batches: Batches of the training data whose texts lexical weights are fitted to.
        fit_steps: Steps of the fit of lexical weights to BM25's, behind stage 2.
        begun_share: Of the weights before stage 2 in the mean that is the model.
        seed: Of everything that is drawn.
    """

    vocabulary: int = 24_576
    width: int = 256
    heads: int = 8
    layers: int = 2
    inner: int = 512
    positions: int = 8192
    noise: float = 0.4
    query_length: int = 40
    passage_length: int = 192
    long_length: int = 448
    temperature: float = 0.05
    bag_steps: int = 4000
    bag_batch: int = 256
    bag_rate: float = 2e-3
    bag_kept_weight: float = 1.0
    steps: int = 700
    batch: int = 128
    rate: float = 3e-4
    kept_weight: float = 5.0
    fit_batches: int = 60
    fit_steps: int = 3000
    begun_share: float = 0.15
    seed: int = 1

    @property
    def pooled(self) -> int:
        """Dimensions of a token that the dense vector sees: those of all heads but the last."""
        return self.width - self.width // self.heads

    def length(self, task: str) -> int:
        """Return how many tokens a passage of a task has in training."""
        return self.long_length if task == "page" else self.passage_length
