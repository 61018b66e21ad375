"""The batches of an epoch as a dataset: texts are read, sampled and tokenized when one is asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Generic, Protocol, TypeAlias, TypeVar

import numpy as np
from torch.utils.data import Dataset

from m3kit.training.batching import BatchOptions, plan
from m3kit.training.data import Example, TrainingData
from m3kit.vectors import Floats, Ints

Tokenize: TypeAlias = Callable[[Sequence[str]], list[Ints]]
"""From texts to the ids of each, truncated, special tokens included."""

_B = TypeVar("_B")
_B_co = TypeVar("_B_co", covariant=True)
_SYMMETRIC = ("symmetric_sts", "symmetric_clustering")


@dataclass(frozen=True, slots=True, kw_only=True)
class TextOptions:
    """
    How an example becomes texts.

    Args:
        group_size: The passages of a query: a positive, and at most so many negatives less one.
        query_max_length: Tokens of a query, special ones included.
        passage_max_length: The same of a passage.
        query_instruction: Put before queries without a `prompt`; None for the model's own.
        passage_instruction: Put before passages; None for the model's own.
        query_format: How an instruction and a query are joined.
        passage_format: The same for a passage.

    Raises:
        ValueError: If a size leaves nothing.
    """

    group_size: int = 8
    query_max_length: int = 512
    passage_max_length: int = 8192
    query_instruction: str | None = None
    passage_instruction: str | None = None
    query_format: str = "{}{}"
    passage_format: str = "{}{}"

    def __post_init__(self) -> None:
        if self.group_size < 1:
            raise ValueError(
                f"group_size counts the positive, so it is at least 1, not {self.group_size}"
            )
        for name in ("query_max_length", "passage_max_length"):
            if getattr(self, name) <= 2:
                raise ValueError(f"{name} counts two special tokens, so it is at least 3")

    def query(self, example: Example) -> str:
        """Return an example's query with its instruction."""
        return _instructed(
            example.prompt or self.query_instruction, example.query, self.query_format
        )

    def passage(self, example: Example, text: str) -> str:
        """Return a passage with its instruction."""
        if example.type in _SYMMETRIC:
            return _instructed(example.prompt or self.query_instruction, text, self.query_format)
        return _instructed(self.passage_instruction, text, self.passage_format)


@dataclass(frozen=True, slots=True)
class Batch:
    """
    What is compared with each other.

    Args:
        queries: The token ids of each query.
        passages: The token ids of each passage.
        members: The number of each query's positive, then of its negatives; shape `(queries,
            largest group)`, -1 where a query has fewer.
        teacher: The teacher's scores for `members`; None if there are none.
        keys: A hash of each passage's text, shape `(passages,)`.
        positives: The hashes of all positives of each query, shape `(queries, most positives)`;
            a shorter row repeats its first.
        in_batch: Whether the passages of other queries are negatives.
    """

    queries: list[Ints]
    passages: list[Ints]
    members: Ints
    teacher: Floats | None
    keys: Ints
    positives: Ints
    in_batch: bool

    @property
    def tokens(self) -> int:
        """Tokens of all texts."""
        return sum(map(len, self.queries)) + sum(map(len, self.passages))


@dataclass(frozen=True, slots=True)
class Group:
    """
    An example with the passages that were drawn for it.

    Args:
        example: Where it comes from.
        texts: The positive, then the negatives.
        scores: A teacher's score for each of them; empty without.
    """

    example: Example
    texts: list[str]
    scores: list[float]


class Build(Protocol[_B_co]):
    """From the groups of a batch to what a trainer takes."""

    def __call__(self, groups: Sequence[Group], *, in_batch: bool) -> _B_co:
        """Tokenize the groups; `in_batch` is whether other queries' passages are negatives."""
        ...


class Batches(Dataset[_B], Generic[_B]):
    """
    The batches of the current epoch.

    The positive and the negatives of an example are drawn anew in each epoch, by the seed, the
    epoch and the example's number alone; so a run that is resumed sees what it would have seen.

    Args:
        data: The examples.
        options: The size of batches.
        build: Makes a batch of its groups.
        group_size: The passages of a query: a positive, and at most so many negatives less one.
        seed: Of the shuffling and of the drawing.
        processes: How many devices share the batches.
    """

    def __init__(
        self,
        data: TrainingData,
        options: BatchOptions,
        build: Build[_B],
        *,
        group_size: int,
        seed: int,
        processes: int = 1,
    ) -> None:
        self._data, self._options, self._build = data, options, build
        self._group_size, self._seed, self._processes = group_size, seed, processes
        self.set_epoch(0)

    def __len__(self) -> int:
        return len(self._plan)

    def __getitem__(self, number: int) -> _B:
        examples = self._plan[number].tolist()
        groups = [self._group(example) for example in examples]
        return self._build(groups, in_batch=self._in_batch(examples[0]))

    def set_epoch(self, epoch: int) -> None:
        """Divide the examples anew."""
        self._epoch = epoch
        self._plan = plan(
            self._data.sizes,
            self._data.tasks,
            self._data.has_negatives.astype(bool) & (self._group_size > 1),
            self._options,
            epoch=epoch,
            seed=self._seed,
            processes=self._processes,
        )

    def _in_batch(self, example: int) -> bool:
        """Tell whether a batch has in-batch negatives: as its file, or as all if they are mixed."""
        if self._options.same_task:
            return self._data.allows_in_batch(example)
        return all(self._data.in_batch)

    def _group(self, number: int) -> Group:
        random = np.random.default_rng((self._seed, self._epoch, number))
        return draw(self._data[number], self._group_size, random)


@dataclass(frozen=True, slots=True)
class BuildBatch:
    """
    Makes the batches of an encoder.

    Args:
        texts: How examples become texts.
        queries: Tokenizes queries.
        passages: Tokenizes passages.
    """

    texts: TextOptions
    queries: Tokenize
    passages: Tokenize

    def __call__(self, groups: Sequence[Group], *, in_batch: bool) -> Batch:
        """Tokenize the texts of groups."""
        queries = [self.texts.query(group.example) for group in groups]
        passages = [
            self.texts.passage(group.example, text) for group in groups for text in group.texts
        ]
        members = members_of(groups)
        return Batch(
            self.queries(queries),
            self.passages(passages),
            members,
            teacher_of(groups, members),
            np.array([_key(text) for group in groups for text in group.texts]),
            _padded([[_key(text) for text in group.example.pos] for group in groups]),
            in_batch,
        )


def members_of(groups: Sequence[Group]) -> Ints:
    """Number the texts of groups, shape `(groups, largest)`, -1 where a group has fewer."""
    counts = np.array([len(group.texts) for group in groups])
    places = np.arange(counts.max())
    first = counts.cumsum() - counts
    members: Ints = np.where(places < counts[:, None], first[:, None] + places, -1)
    return members


def teacher_of(groups: Sequence[Group], members: Ints) -> Floats | None:
    """Return the teacher's scores for `members`; None if a group has none."""
    if not all(group.scores for group in groups):
        return None
    teacher = np.zeros(members.shape, dtype=np.float32)
    teacher[members >= 0] = np.concatenate([group.scores for group in groups])
    return teacher


def draw(example: Example, group_size: int, random: np.random.Generator) -> Group:
    """Draw a positive and as many negatives as a group holds, none of them twice."""
    size = 2 if example.type == "only_1neg" else group_size
    positive = int(random.integers(len(example.pos)))
    count = min(size - 1, len(example.neg))
    negatives = random.choice(len(example.neg), count, replace=False).tolist() if count else []
    scores = []
    if example.pos_scores and (example.neg_scores or not negatives):
        scores = [example.pos_scores[positive], *(example.neg_scores[n] for n in negatives)]
    return Group(example, [example.pos[positive], *(example.neg[n] for n in negatives)], scores)


def _instructed(instruction: str | None, text: str, form: str) -> str:
    return form.format(instruction, text) if instruction else text


def _key(text: str) -> int:
    return int.from_bytes(
        blake2b(text.encode("utf-8", "replace"), digest_size=8).digest(), signed=True
    )


def _padded(rows: Sequence[Sequence[int]]) -> Ints:
    longest = max(map(len, rows))
    return np.array([[*row, *([row[0]] * (longest - len(row)))] for row in rows])
