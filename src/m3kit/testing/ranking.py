"""Candidates, fusion and scores."""

from __future__ import annotations

from collections.abc import Collection

import pytest

from m3kit.filters import Eq
from m3kit.fusion import RRF, Fusion, WeightedSum
from m3kit.index import HybridIndex, Search
from m3kit.records import Document
from m3kit.testing.assertions import assert_ranking, assert_same_vectors
from m3kit.testing.encoder import query, records
from m3kit.testing.expected import plain_ranking, plain_rrf, plain_score, plain_weighted
from m3kit.testing.samples import DOCUMENTS
from m3kit.testing.suite import Suite, needs
from m3kit.vectors import REPS, Rep


class RankingConformance(Suite):
    """What a search returns, and in which order."""

    def test_a_new_index_is_empty(self, index: HybridIndex) -> None:
        for rep in index.reps:
            assert index.search(Search(query=query("bear", rep))) == []
        assert index.count() == 0
        assert index.get(["a"]) == []
        assert list(index.scan()) == []

    @pytest.mark.parametrize("rep", REPS)
    def test_one_representation_alone_has_its_own_score_and_order(
        self, filled: HybridIndex, rep: Rep
    ) -> None:
        needs(filled, rep)
        encoded = query("the growling bear", rep)
        expected, within = plain_ranking(rep, encoded, self.stored(DOCUMENTS)), self.within(encoded)
        assert_ranking(filled.search(Search(query=encoded, k=4)), expected[:4], within=within)
        assert_ranking(filled.search(Search(query=encoded, k=100)), expected, within=within)

    @pytest.mark.parametrize("k", [60, 1])
    def test_rrf_counts_ranks_from_one_over_dense_and_sparse(
        self, filled: HybridIndex, k: int
    ) -> None:
        needs(filled, "dense", "sparse")
        encoded = query("purring cat and growling dog", "dense", "sparse")
        expected = plain_rrf(encoded, records(DOCUMENTS), RRF(k), candidates=100)
        assert_ranking(filled.search(Search(query=encoded, fusion=RRF(k), k=5)), expected[:5])

    @pytest.mark.parametrize("weights", [{"sparse": 0.3}, {"dense": 0}, {"dense": 2, "sparse": 7}])
    def test_rrf_weighs_the_two_rankings(
        self, filled: HybridIndex, weights: dict[Rep, float]
    ) -> None:
        needs(filled, "dense", "sparse")
        fusion = RRF(weights=weights)
        for text in ("dog on the gpu", "bear against swims", "purring cat and growling dog"):
            encoded = query(text, "dense", "sparse")
            expected = plain_rrf(encoded, records(DOCUMENTS), fusion, candidates=100)
            assert_ranking(filled.search(Search(query=encoded, fusion=fusion, k=5)), expected[:5])

    @pytest.mark.parametrize("candidates", [2, 3, 100])
    def test_colbert_rescores_the_best_of_rrf_and_is_no_third_ranking(
        self, filled: HybridIndex, candidates: int
    ) -> None:
        needs(filled, *REPS)
        encoded = query("the salmon and the friends")
        fused = plain_rrf(encoded, records(DOCUMENTS), RRF(), candidates=candidates)
        best = self.stored(_among({id_ for id_, _ in fused[:candidates]}))
        expected = plain_ranking("colbert", encoded, best)
        hits = filled.search(Search(query=encoded, k=2, candidates=candidates, fusion=RRF()))
        assert_ranking(hits, expected[:2], within=self.tolerance)

    @pytest.mark.parametrize("rep", ["dense", "sparse"])
    def test_colbert_rescores_the_candidates_of_one_branch(
        self, filled: HybridIndex, rep: Rep
    ) -> None:
        needs(filled, rep, "colbert")
        encoded = query("the salmon and the friends", rep, "colbert")
        candidates = {id_ for id_, _ in plain_ranking(rep, encoded, records(DOCUMENTS))[:3]}
        expected = plain_ranking("colbert", encoded, self.stored(_among(candidates)))
        hits = filled.search(Search(query=encoded, k=3, candidates=3, fusion=RRF()))
        assert_ranking(hits, expected, within=self.tolerance)

    @pytest.mark.parametrize("candidates", [1, 2, 100])
    @pytest.mark.parametrize("fusion", [WeightedSum(), WeightedSum(0.4, 0.2, 0.4)], ids=repr)
    @pytest.mark.parametrize(
        "reps", [("dense", "sparse"), ("sparse", "colbert"), REPS], ids="+".join
    )
    def test_weighted_sum_scores_every_candidate_on_every_representation(
        self, filled: HybridIndex, reps: tuple[Rep, ...], fusion: WeightedSum, candidates: int
    ) -> None:
        needs(filled, *reps)
        for text in (
            "dog on the gpu",
            "bear against swims",
            "cat algebra stream",
            "über the sparse",
        ):
            encoded = query(text, *reps)
            expected = plain_weighted(
                encoded, self.stored(DOCUMENTS), fusion, candidates=candidates
            )
            k = min(candidates, 4)
            hits = filled.search(Search(query=encoded, fusion=fusion, candidates=candidates, k=k))
            assert_ranking(hits, expected[:k], within=self.within(encoded))

    @pytest.mark.parametrize("fusion", [RRF(), WeightedSum()], ids=repr)
    def test_a_filter_keeps_before_a_branch_is_cut(
        self, filled: HybridIndex, fusion: Fusion
    ) -> None:
        reps = [rep for rep in REPS if rep in filled.reps]
        encoded = query("the dog is barking", *reps)
        where = Eq("lang", "de")
        (hit,) = filled.search(Search(query=encoded, where=where, candidates=1, k=1, fusion=fusion))
        assert hit.document == DOCUMENTS[8]

    @pytest.mark.parametrize("rep", REPS)
    def test_ties_go_by_id_even_where_the_list_is_cut(self, index: HybridIndex, rep: Rep) -> None:
        needs(index, rep)
        twins = [Document(f"{n:02}", "the same bear") for n in (7, 3, 11, 5, 2, 9, 1, 8)]
        index.upsert(records([*twins, Document("first", "the same bear bear"), *DOCUMENTS]))
        encoded = query("bear bear same", rep)
        expected = plain_ranking(
            rep, encoded, self.stored([*twins, Document("first", "the same bear bear"), *DOCUMENTS])
        )
        for k in (2, 3, 5, 9):
            hits = index.search(Search(query=encoded, k=k))
            assert_ranking(hits, expected[:k], within=self.within(encoded))

    def test_ties_go_by_id_in_every_branch_of_a_fusion(self, index: HybridIndex) -> None:
        needs(index, "dense", "sparse")
        twins = [Document(f"{n:02}", "the same bear") for n in (7, 3, 11, 5, 2, 9, 1, 8)]
        index.upsert(records([*DOCUMENTS, *twins]))
        encoded = query("same bear", "dense", "sparse")
        for candidates in (3, 5, 100):
            search = Search(query=encoded, k=3, candidates=candidates, fusion=RRF())
            expected = plain_rrf(
                encoded, records([*DOCUMENTS, *twins]), RRF(), candidates=candidates
            )
            assert_ranking(index.search(search), expected[:3])

    @pytest.mark.parametrize("text", ["", "unheardof words"])
    def test_a_query_without_a_known_token_finds_nothing_in_the_sparse_branch(
        self, filled: HybridIndex, text: str
    ) -> None:
        needs(filled, "sparse")
        assert filled.search(Search(query=query(text, "sparse"))) == []
        if "dense" in filled.reps:
            encoded = query(text, "dense", "sparse")
            expected = plain_rrf(encoded, records(DOCUMENTS), RRF(), candidates=100)
            hits = filled.search(Search(query=encoded, k=3, fusion=RRF()))
            assert_ranking(hits, expected[:3])

    def test_an_empty_text_is_a_document_like_others(self, filled: HybridIndex) -> None:
        empty = DOCUMENTS[10]
        (record,) = filled.get([empty.id], filled.reps)
        assert record.document == empty
        assert_same_vectors(record.output, self.stored([empty])[0].output, filled.reps)
        if "dense" in filled.reps:
            assert filled.search(Search(query=query("", "dense"), k=1))[0].document == empty

    def test_k_below_one_is_refused_and_k_above_all_gives_all(self, filled: HybridIndex) -> None:
        needs(filled, "dense")
        encoded = query("bear", "dense")
        assert len(filled.search(Search(query=encoded, k=1000))) == len(DOCUMENTS)
        with pytest.raises(ValueError, match="at least 1"):
            Search(query=encoded, k=0)

    def test_k_above_candidates_widens_the_branches(self, filled: HybridIndex) -> None:
        needs(filled, "dense", "sparse")
        encoded = query("the bear", "dense", "sparse")
        assert len(filled.search(Search(query=encoded, k=8, candidates=1))) == 8

    @pytest.mark.parametrize("fusion", [RRF(), WeightedSum()], ids=repr)
    def test_min_score_leaves_out_what_is_below(self, filled: HybridIndex, fusion: Fusion) -> None:
        encoded = query("the growling bear", *filled.reps)
        every = filled.search(Search(query=encoded, fusion=fusion))
        floor = (every[1].score + every[2].score) / 2
        for least in (floor, every[1].score):
            hits = filled.search(Search(query=encoded, fusion=fusion, min_score=least))
            assert_ranking(hits, [(hit.document.id, hit.score) for hit in every[:2]])

    @pytest.mark.parametrize("fusion", [RRF(), WeightedSum()], ids=repr)
    def test_scores_are_those_of_each_representation(
        self, filled: HybridIndex, fusion: Fusion
    ) -> None:
        encoded = query("dog against the stream", *filled.reps)
        by_id = {record.document.id: record.output for record in self.stored(DOCUMENTS)}
        hits = filled.search(Search(query=encoded, fusion=fusion, with_scores=True))
        for hit in hits:
            scores = {
                rep: plain_score(rep, encoded, by_id[hit.document.id]) for rep in encoded.reps
            }
            assert dict(hit.scores) == pytest.approx(scores, abs=self.within(encoded))
        assert all(not hit.scores for hit in filled.search(Search(query=encoded, fusion=fusion)))


def _among(ids: Collection[str]) -> list[Document]:
    return [document for document in DOCUMENTS if document.id in ids]
