"""Fine-tune a reranker on the examples that fine-tune an encoder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeAlias

import torch
import torch.nn.functional as F  # noqa: N812  # PyTorch's own name for it
from transformers import TrainingArguments, set_seed

from m3kit._batching import chunked
from m3kit.backend.tokenizer import SPECIAL_TOKENS, TextTokenizer, load_tokenizer
from m3kit.torch.joining import Joint
from m3kit.training.batches import Batches, Group, TextOptions, members_of, teacher_of
from m3kit.training.data import Example, TrainingData, estimate
from m3kit.training.finetune import Finetuned, find_checkpoint, run, training_arguments
from m3kit.training.losses import Groups, distillation, info_nce
from m3kit.training.options import ExampleOptions, Record
from m3kit.training.rerank_model import RerankerModel
from m3kit.training.trainer import BatchTrainer
from m3kit.vectors import Floats, Ints

RerankLoss: TypeAlias = Literal["listwise", "pairwise"]
"""See `rerank_loss`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RerankerOptions(ExampleOptions):
    """
    How a reranker is fine-tuned: see `ExampleOptions`, and what follows.

    Of `texts`, `query_max_length` cuts a query, and `max_length` the pair.

    Args:
        loss: `"listwise"` or `"pairwise"`, see `rerank_loss`.
        teacher: Whether the scores in the data are learnt besides.
        temperature: What scores are divided by.
        max_length: Tokens of a query and a passage together.

    Raises:
        ValueError: If a value makes no sense.
    """

    loss: RerankLoss = "listwise"
    teacher: bool = False
    temperature: float = 1.0
    max_length: int = 512

    def __post_init__(self) -> None:
        if self.loss not in {"listwise", "pairwise"}:
            raise ValueError(f'loss is "listwise" or "pairwise", not {self.loss!r}')
        if not self.temperature > 0:
            raise ValueError(f"temperature is above 0, not {self.temperature}")


@dataclass(frozen=True, slots=True)
class PairBatch:
    """
    Queries joined with their passages.

    Args:
        pairs: The joined ids of each query and passage, group by group.
        members: See `m3kit.training.batches.Batch`; so `teacher`.
        teacher: The teacher's scores.
    """

    pairs: list[Ints]
    members: Ints
    teacher: Floats | None

    @property
    def tokens(self) -> int:
        """Tokens of all pairs."""
        return sum(map(len, self.pairs))


@dataclass(frozen=True, slots=True)
class BuildPairs:
    """
    Makes the batches of a reranker.

    Args:
        tokenizer: The tokenizer.
        texts: How examples become texts.
        max_length: Tokens of a pair.
        longest: Tokens that the model takes.
    """

    tokenizer: TextTokenizer
    texts: TextOptions
    max_length: int
    longest: int

    def __call__(self, groups: Sequence[Group], *, in_batch: bool) -> PairBatch:  # noqa: ARG002
        """Join each query with each passage of its group."""
        first, last = self.tokenizer([""], SPECIAL_TOKENS)[0].ids.tolist()
        join = Joint(first, last, self.longest)
        queries = self._ids([self.texts.query(group.example) for group in groups])
        pairs = []
        for group, query in zip(groups, queries, strict=True):
            passages = [self.texts.passage(group.example, text) for text in group.texts]
            cut = query[: self.texts.query_max_length]
            pairs += [join(cut, ids, self.max_length) for ids in self._ids(passages)]
        members = members_of(groups)
        return PairBatch(pairs, members, teacher_of(groups, members))

    def _ids(self, texts: Sequence[str]) -> list[Ints]:
        limit = self.max_length + SPECIAL_TOKENS
        return [tokens.ids[1:-1] for tokens in self.tokenizer(texts, limit)]


class RerankerTrainer(BatchTrainer):
    """
    Trains a `RerankerModel`.

    Args:
        model: What is trained.
        args: Of transformers.
        batches: The batches.
        options: The loss.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        args: TrainingArguments,
        batches: Batches[PairBatch],
        *,
        options: RerankerOptions,
    ) -> None:
        super().__init__(model, args, batches)
        self._options = options

    @property
    def chunk_tokens(self) -> int | None:
        """Tokens that are computed at once; None for all of a batch."""
        return self._options.chunk_tokens

    def add_gradients(
        self, model: Any, batch: PairBatch
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Compute the loss of a batch, and add its gradients; whole groups are computed at once."""
        groups = [[batch.pairs[n] for n in row if n >= 0] for row in batch.members.tolist()]
        budget = self.chunk_tokens or batch.tokens
        size = partial(_tokens, groups)
        chunks = list(chunked(range(len(groups)), size=size, budget=budget))
        total = torch.zeros((), device=self.args.device)
        for number, chunk in enumerate(chunks):
            with self.without_sync(model)() if number < len(chunks) - 1 else nullcontext():
                scores = model([ids for group in chunk for ids in groups[group]])
                loss = rerank_loss(scores, _part(batch, chunk, scores.device), self._options)
                loss = loss * len(chunk) / len(groups)
                self.backward(loss)
            total += loss.detach()
        return total, {}


def finetune_reranker(
    data: Sequence[str | Path],
    folder: str | Path,
    *,
    model: str | Path = "BAAI/bge-reranker-v2-m3",
    options: RerankerOptions | None = None,
    resume: bool = False,
) -> Finetuned:
    """
    Train a reranker on examples, each of which has negatives, and write it.

    Args:
        data: JSONL files and folders of them, see `m3kit.training.data`.
        folder: Where the model and its checkpoints are written; new, unless a run is resumed.
        model: A reranker, or an encoder from which one is made; a folder, or a name on the hub.
        options: How it is trained.
        resume: Whether to go on from the last checkpoint in `folder`.

    Raises:
        CheckpointError: If the model cannot be read.
        TrainingDataError: If a line of the data cannot be used; raised before the first step.
        TrainingError: If training cannot begin, runs out of memory, or a loss is not finite.
    """
    options, target = options or RerankerOptions(), Path(folder)
    checkpoint = find_checkpoint(model)
    arguments = training_arguments(target, options)
    set_seed(options.seed)
    tokenizer = load_tokenizer(checkpoint.folder, checkpoint.config)
    trained = RerankerModel(checkpoint, dropout=options.dropout, lora=options.lora)
    limit = min(options.max_length, trained.max_length)
    examples = TrainingData(
        data,
        size=_size(tokenizer, options.texts, limit),
        in_batch_negatives=False,
        teacher=options.teacher,
    )
    batches = Batches(
        examples,
        options.batches,
        BuildPairs(tokenizer, options.texts, limit, trained.max_length),
        group_size=options.texts.group_size,
        seed=options.seed,
        processes=arguments.world_size,
    )
    trainer = RerankerTrainer(trained, arguments, batches, options=options)
    name = f"{checkpoint.name}@{checkpoint.fingerprint()}"
    record = Record.of(name, examples.files, arguments.world_size, options)
    return run(trainer, record, target, resume=resume)


def rerank_loss(scores: torch.Tensor, groups: Groups, options: RerankerOptions) -> torch.Tensor:
    """
    Compute the loss of the scores of groups, laid end to end.

    `"listwise"` is the cross-entropy of the positive in its group; `"pairwise"` the mean over the
    negatives of `log(1 + exp(negative - positive))`. With a teacher the cross-entropy of its
    probabilities in the group is added.

    Args:
        scores: Shape `(pairs,)`.
        groups: Whose members are numbers of pairs.
        options: The loss.
    """
    of_groups = groups.of(scores.expand(len(groups.members), -1) / options.temperature)
    if options.loss == "listwise":
        first = torch.zeros_like(groups.members[:, :1])
        loss = info_nce(of_groups, Groups(first, groups.excluded))
    else:
        negatives = groups.present[:, 1:]
        difference = of_groups[:, 1:].masked_fill(~negatives, 0) - of_groups[:, :1]
        per_pair = F.softplus(difference).masked_fill(~negatives, 0)
        loss = (per_pair.sum(1) / negatives.sum(1)).mean()
    if options.teacher and groups.teacher is not None:
        teacher = groups.teacher.masked_fill(~groups.present, -torch.inf).softmax(-1)
        loss = loss + distillation(teacher, of_groups)
    return loss


def _part(batch: PairBatch, chunk: Sequence[int], device: torch.device) -> Groups:
    """Return some groups of a batch, their pairs numbered anew."""
    rows = batch.members[chunk]
    members = torch.from_numpy(rows).to(device)
    first = rows[0, 0]
    members = torch.where(members >= 0, members - first, members)
    teacher = None if batch.teacher is None else torch.from_numpy(batch.teacher[chunk]).to(device)
    hidden = torch.zeros(len(rows), 0, dtype=torch.bool, device=device)
    return Groups(members, hidden, teacher)


def _tokens(groups: Sequence[Sequence[Ints]], number: int) -> int:
    return sum(map(len, groups[number]))


def _size(tokenizer: TextTokenizer, texts: TextOptions, limit: int) -> Callable[[Example], int]:
    def count(batch: Sequence[str]) -> list[int]:
        return [tokens.full for tokens in tokenizer(batch, limit)]

    tokens = estimate(count, limit)

    def size(example: Example) -> int:
        query = tokens(texts.query(example))
        passages = sorted((tokens(text) for text in example.neg), reverse=True)
        longest = [max(map(tokens, example.pos)), *passages[: texts.group_size - 1]]
        return sum(min(limit, query + length) for length in longest)

    return size
