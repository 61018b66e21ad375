"""The losses by hand: batches so small that each number can be followed."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from m3kit.training.losses import Groups, LossOptions, info_nce, scores_of, unified_loss
from m3kit.training.maxsim import colbert_scores
from m3kit.training.representations import Lexical, Representations, Vectors, joined
from m3kit.training.sparse import sparse_scores
from m3kit.vectors import Rep

LEAST = torch.finfo(torch.float32).min


def groups(
    members: list[list[int]], passages: int, teacher: list[list[float]] | None = None
) -> Groups:
    shape = len(members), passages
    return Groups(
        torch.tensor(members),
        torch.zeros(shape, dtype=torch.bool),
        None if teacher is None else torch.tensor(teacher, dtype=torch.float32),
    )


def cross_entropy(scores: list[float], target: int) -> float:
    return math.log(sum(map(math.exp, scores))) - scores[target]


def test_info_nce_is_the_cross_entropy_of_the_positive_among_all_passages() -> None:
    scores = torch.tensor([[2.0, 1.0, 0.0, -1.0], [0.5, 0.0, 3.0, 1.0]])
    loss = info_nce(scores, groups([[0, 1], [2, 3]], 4))
    by_hand = (cross_entropy([2, 1, 0, -1], 0) + cross_entropy([0.5, 0, 3, 1], 2)) / 2
    assert loss.item() == pytest.approx(by_hand, abs=1e-6)


def test_without_in_batch_negatives_a_query_sees_its_own_group_alone() -> None:
    scores = torch.tensor([[2.0, 1.0, 9.0, 9.0, 9.0], [9.0, 9.0, 3.0, 1.0, -1.0]])
    loss, parts = unified_loss(
        {"dense": scores},
        groups([[0, 1, -1], [2, 3, 4]], 5),
        LossOptions(in_batch_negatives=False),
    )
    by_hand = (cross_entropy([2, 1], 0) + cross_entropy([3, 1, -1], 0)) / 2
    assert loss.item() == pytest.approx(by_hand, abs=1e-6)
    assert parts["dense"].item() == loss.item()


def test_a_passage_that_equals_a_positive_is_no_negative() -> None:
    scores = torch.tensor([[2.0, 1.0, 5.0]])
    excluded = torch.tensor([[False, False, True]])
    hidden = Groups(torch.tensor([[0, 1]]), excluded).hide(scores, in_batch=True)
    assert hidden.tolist() == [[2.0, 1.0, LEAST]]


def test_the_unified_loss_is_the_paper_s() -> None:
    dense, sparse, colbert = [1.0, 0.5], [0.2, 0.4], [2.0, -1.0]
    scores: dict[Rep, torch.Tensor] = {"dense": torch.tensor([dense])}
    scores |= {"sparse": torch.tensor([sparse]), "colbert": torch.tensor([colbert])}
    loss, _ = unified_loss(scores, groups([[0, 1]], 2), LossOptions())
    ensemble = [d + 0.3 * s + c for d, s, c in zip(dense, sparse, colbert, strict=True)]
    rows = (dense, sparse, colbert, ensemble)
    of_dense, of_sparse, of_colbert, of_ensemble = (cross_entropy(row, 0) for row in rows)
    labels = (of_dense + 0.1 * of_sparse + of_colbert + of_ensemble) / 4
    exps = [math.exp(score) for score in ensemble]
    teacher = [value / sum(exps) for value in exps]
    d, s, c = (
        sum(p * cross_entropy(row, place) for place, p in enumerate(teacher))
        for row in (dense, sparse, colbert)
    )
    assert loss.item() == pytest.approx((labels + (d + 0.1 * s + c) / 3) / 2, abs=1e-6)


def test_self_distillation_begins_with_its_step_and_gives_the_ensemble_no_gradient() -> None:
    reps: tuple[Rep, ...] = ("dense", "sparse")
    scores = {rep: torch.randn(3, 6, requires_grad=True) for rep in reps}
    options = LossOptions(self_distill_start=2)
    members = groups([[0, 1], [2, 3], [4, 5]], 6)
    before, parts = unified_loss(scores, members, options, step=1)
    assert not any(name.endswith("_distill") for name in parts)
    labels, _ = unified_loss(scores, members, LossOptions(self_distill=False))
    assert before.item() == labels.item()
    _, parts = unified_loss(scores, members, options, step=2)
    dense, sparse = torch.autograd.grad(
        parts["dense_distill"], [scores["dense"], scores["sparse"]], allow_unused=True
    )
    assert dense.abs().sum() > 0
    assert sparse is None


def test_a_teacher_s_probabilities_are_learnt_within_the_group() -> None:
    scores = torch.tensor([[1.0, 0.0, 2.0]])
    members = groups([[0, 1]], 3, [[3.0, 1.0]])
    loss, _ = unified_loss({"dense": scores}, members, LossOptions(teacher="kl"))
    first = math.exp(3) / (math.exp(3) + math.exp(1))
    kl = first * cross_entropy([1, 0], 0) + (1 - first) * cross_entropy([1, 0], 1)
    assert loss.item() == pytest.approx(kl + cross_entropy([1, 0, 2], 0), abs=1e-6)


def test_the_listwise_loss_compares_each_member_with_what_is_not_before_it() -> None:
    scores = torch.tensor([[1.0, 0.0, 2.0]])
    members = groups([[0, 1]], 3, [[3.0, 1.0]])
    loss, _ = unified_loss({"dense": scores}, members, LossOptions(teacher="listwise"))
    first = math.exp(3) / (math.exp(3) + math.exp(1))
    by_hand = first * cross_entropy([1, 0, 2], 0) + (1 - first) * cross_entropy([0, 2], 0)
    assert loss.item() == pytest.approx(by_hand, abs=1e-6)


@pytest.mark.parametrize("teacher", ["kl", "listwise"])
@pytest.mark.parametrize("in_batch", [True, False])
def test_a_group_that_is_smaller_counts_as_if_it_were_alone(
    *, teacher: Any, in_batch: bool
) -> None:
    options = LossOptions(teacher=teacher, in_batch_negatives=in_batch)
    scores = torch.randn(2, 5, generator=torch.Generator().manual_seed(0))
    both, _ = unified_loss(
        {"dense": scores}, groups([[0, 1, -1], [2, 3, 4]], 5, [[1, 2, 9], [3, 1, 2]]), options
    )
    first, _ = unified_loss({"dense": scores[:1]}, groups([[0, 1]], 5, [[1, 2]]), options)
    second, _ = unified_loss({"dense": scores[1:]}, groups([[2, 3, 4]], 5, [[3, 1, 2]]), options)
    assert both.item() == pytest.approx((first + second).item() / 2, rel=1e-6)


def lexical(*texts: dict[int, float] | list[tuple[int, float]]) -> Lexical:
    pairs = [list(text.items()) if isinstance(text, dict) else text for text in texts]
    return Lexical(
        torch.tensor([weight for text in pairs for _, weight in text]),
        torch.tensor([id_ for text in pairs for id_, _ in text], dtype=torch.int64),
        torch.tensor([len(text) for text in pairs]),
    )


def test_sparse_scores_are_inner_products_where_a_repeated_token_counts_once() -> None:
    queries = lexical({7: 0.5, 9: 2.0}, {250_001: 1.0}, {})
    passages = lexical([(9, 1.0), (9, 3.0), (4, 8.0)], {7: 1.0, 250_001: 0.25})
    scores = sparse_scores(queries, passages)
    assert scores.tolist() == [[6.0, 0.5], [0.0, 0.25], [0.0, 0.0]]


def test_sparse_scores_without_a_shared_token_are_0_and_may_be_differentiated() -> None:
    queries, passages = lexical({7: 0.5}), lexical({8: 1.0}, {})
    queries.weights.requires_grad_()
    scores = sparse_scores(queries, passages)
    scores.sum().backward()  # type: ignore[no-untyped-call]  # PyTorch has no types here
    assert scores.tolist() == [[0.0, 0.0]]
    assert queries.weights.grad is not None


def test_a_batch_of_a_large_vocabulary_takes_columns_for_shared_tokens_alone() -> None:
    ids = torch.arange(4000) * 60
    long = Lexical(torch.ones(4000), ids, torch.tensor([1000] * 4))
    sizes: list[int] = []

    def measured(tensor: torch.Tensor) -> torch.Tensor:
        sizes.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(measured, lambda tensor: tensor):
        long.weights.requires_grad_()
        sparse_scores(long, long)
    assert max(sizes) <= 4 * 4000 < 4 * 250_002


def vectors(*texts: list[list[float]]) -> Vectors:
    flat = torch.tensor([row for text in texts for row in text])
    return Vectors(flat, torch.tensor([len(text) for text in texts]))


def test_colbert_scores_are_the_mean_of_each_token_s_best() -> None:
    queries = vectors([[1.0, 0.0], [0.0, 1.0]], [[-1.0, 0.0]])
    passages = vectors([[0.6, 0.8]], [[1.0, 0.0], [0.0, 1.0], [0.8, 0.6]])
    assert colbert_scores(queries, passages).flatten().tolist() == pytest.approx(
        [0.7, 1.0, -0.6, 0.0]  # the reference pads by zeros, whose 0 would hide the -0.6
    )


def test_colbert_scores_have_the_gradients_of_the_plain_formula(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("m3kit.training.maxsim._SIMILARITIES", 60)  # several groups
    random = torch.Generator().manual_seed(3)
    counts = torch.tensor([4, 2, 7]), torch.tensor([5, 1, 8, 3, 3])
    flat = [
        torch.randn(int(count.sum()), 4, generator=random, dtype=torch.float64).requires_grad_()
        for count in counts
    ]
    scores = colbert_scores(*(Vectors(v, c) for v, c in zip(flat, counts, strict=True)))
    parts = [torch.split(v, c.tolist()) for v, c in zip(flat, counts, strict=True)]
    plain = torch.stack(
        [torch.stack([(q @ p.T).max(1).values.mean() for p in parts[1]]) for q in parts[0]]
    )
    assert torch.allclose(scores, plain, atol=1e-12)
    weights = torch.randn(3, 5, generator=random, dtype=torch.float64)
    ours, theirs = (torch.autograd.grad((s * weights).sum(), flat) for s in (scores, plain))
    assert all(torch.allclose(a, b, atol=1e-12) for a, b in zip(ours, theirs, strict=True))


def test_texts_that_are_selected_and_joined_score_as_before() -> None:
    texts = Representations(
        dense=torch.eye(3),
        sparse=lexical({1: 1.0}, {}, {1: 2.0, 2: 1.0}),
        colbert=vectors([[1.0, 0.0]], [[0.0, 1.0], [1.0, 0.0]], [[0.6, 0.8]]),
    )
    order = torch.tensor([2, 0, 1])
    again = joined([texts.select(order[:2]), texts.select(order[2:])]).select(order.argsort())
    for rep, score in scores_of(texts, texts, 0.5).items():
        assert torch.equal(score, scores_of(again, again, 0.5)[rep])


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"temperature": 0.0}, "temperature is above 0"),
        ({"teacher": "mse"}, "teacher is"),
        ({"in_batch_negatives": False, "cross_device_negatives": True}, "allow both, or none"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, object], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        LossOptions(**options)  # type: ignore[arg-type]  # what a user may write
