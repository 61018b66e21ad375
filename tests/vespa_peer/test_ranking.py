from __future__ import annotations

import numpy as np
import pytest
from tests.vespa_peer.client import Client, RefusedError
from tests.vespa_peer.corpus import (
    DOCUMENTS,
    QUERY,
    Vectors,
    best,
    bfloat16,
    cells,
    dense,
    integers,
    maxsim,
    sparse,
)

pytestmark = pytest.mark.peer

NEAR = "({targetHits: 20}nearestNeighbor(dense, q_dense))"
WAND = "({targetHits: 20}wand(tokens, @tokens))"
INPUTS = QUERY.inputs()

DENSE = {key: dense(QUERY, of) for key, of in DOCUMENTS.items()}
SPARSE = {key: sparse(QUERY, of) for key, of in DOCUMENTS.items()}
COLBERT = {
    key: maxsim(QUERY, bfloat16(of.colbert)) / len(QUERY.colbert) for key, of in DOCUMENTS.items()
}
SHARED = {key: score for key, score in SPARSE.items() if score > 0}


def same(got: dict[str, float], want: dict[str, float]) -> None:
    """The same documents with the same scores, the best first."""
    assert got.keys() == want.keys()
    np.testing.assert_allclose([*got.values()], [want[key] for key in got], rtol=0, atol=1e-6)
    assert [*got.values()] == sorted(got.values(), reverse=True)


def test_a_nearest_neighbour_search_finds_the_best(papers: Client) -> None:
    same(papers.scores(NEAR, "dense", **INPUTS), best(DENSE, 20))


def test_closeness_is_that_of_the_angle(papers: Client) -> None:
    want = {key: 1 / (2 - score) for key, score in best(DENSE, 20).items()}
    same(papers.scores(NEAR, "close", **INPUTS), want)
    hit = papers.hits(NEAR, "close", **INPUTS)[0]
    features = hit["fields"]["matchfeatures"]
    assert features["rawScore(dense)"] == hit["relevance"]
    assert features["distance(field,dense)"] == pytest.approx(1 - max(DENSE.values()), abs=1e-6)


def test_a_threshold_leaves_out_what_is_farther(papers: Client) -> None:
    where = "({targetHits: 20, distanceThreshold: 0.5}nearestNeighbor(dense, q_dense))"
    near = {key: score for key, score in best(DENSE, 20).items() if 1 - score <= 0.5}
    assert 0 < len(near) < 20
    same(papers.scores(where, "dense", **INPUTS), near)


def test_a_filter_comes_before_the_best_are_counted(papers: Client) -> None:
    even = {key: score for key, score in DENSE.items() if int(key[1:]) % 2 == 0}
    same(papers.scores(f"{NEAR} and public = true", "dense", **INPUTS), best(even, 20))
    odd = {key: score for key, score in DENSE.items() if int(key[1:]) % 2}
    same(papers.scores(f"{NEAR} and !(public = true)", "dense", **INPUTS), best(odd, 20))


@pytest.mark.parametrize(
    "where",
    [
        "token_ids in (@ids)",
        "weightedSet(tokens, @tokens)",
        "dotProduct(tokens, @tokens)",
        "dotProduct(words, @tokens)",
        "weightedSet(token_ids, @tokens)",
    ],
)
def test_what_shares_a_token_is_found(papers: Client, where: str) -> None:
    same(papers.scores(where, "sparse", **INPUTS), best(SHARED))


def test_wand_finds_the_best_by_products_of_integers(papers: Client) -> None:
    want = {key: float(integers(QUERY, DOCUMENTS[key])) for key in SHARED}
    where = "({targetHits: 5}wand(tokens, @tokens))"
    assert papers.scores(where, "raw", **INPUTS) == best(want, 5)


def test_a_dot_product_has_a_raw_score_and_a_weighted_set_has_none(papers: Client) -> None:
    want = {key: float(integers(QUERY, DOCUMENTS[key])) for key in SHARED}
    assert papers.scores("dotProduct(words, @tokens)", "raw", **INPUTS) == best(want)
    assert {*papers.scores("weightedSet(words, @tokens)", "raw", **INPUTS).values()} == {0.0}


def test_a_label_names_one_of_several_items(papers: Client) -> None:
    where = "dotProduct(words, {'1': 1}) or ({label: 'mine'}dotProduct(tokens, @tokens))"
    want = {key: float(integers(QUERY, DOCUMENTS[key])) for key in SHARED}
    got = papers.scores(where, "labelled", **INPUTS)
    assert {key: score for key, score in got.items() if score} == best(want)


def test_maxsim_is_numpys_on_rows_cut_to_bfloat16(papers: Client) -> None:
    same(papers.scores("true", "colbert", **INPUTS), best(COLBERT))


def test_maxsim_is_numpys_on_int8(papers: Client) -> None:
    want = {key: maxsim(QUERY, cells(of.colbert) / 127) for key, of in DOCUMENTS.items()}
    same(papers.scores("true", "cells", **INPUTS), best(want))


def test_maxsim_is_numpys_on_bits(papers: Client) -> None:
    want = {
        key: maxsim(QUERY, (of.colbert > 0).astype(np.float64)) for key, of in DOCUMENTS.items()
    }
    same(papers.scores("true", "bits", **INPUTS), best(want))


def test_a_second_phase_scores_the_best_again_and_keeps_the_others_below(papers: Client) -> None:
    first = best({key: DENSE[key] + SPARSE[key] for key in DOCUMENTS})
    got = papers.scores("true", "rescored", **INPUTS)
    head = {key: COLBERT[key] for key in [*first][:10]}
    same({key: got[key] for key in [*got][:10]}, best(head))
    assert [*got][10:] == [*first][10:]
    assert [*got.values()] == sorted(got.values(), reverse=True)
    more = papers.scores("true", "rescored", **INPUTS, **{"ranking.rerankCount": 30})
    same(
        {key: more[key] for key in [*more][:30]}, best({key: COLBERT[key] for key in [*first][:30]})
    )


def test_rrf_of_two_branches_is_exact(papers: Client) -> None:
    branches = [best(DENSE, 20), best(SHARED, 20)]
    want: dict[str, float] = {}
    for branch in branches:
        for rank, key in enumerate(branch, 1):
            want[key] = want.get(key, 0) + 1 / (60 + rank)
    same(papers.scores(f"{NEAR} or {WAND}", "rrf", **INPUTS), want)


def test_features_come_with_hits_and_with_summaries(papers: Client) -> None:
    for hit in papers.hits(NEAR, "dense", **INPUTS):
        key, fields = hit["fields"]["id"], hit["fields"]
        features = fields["matchfeatures"]
        assert features["dense_score"] == pytest.approx(DENSE[key], abs=1e-6)
        assert features["sparse_score"] == pytest.approx(SPARSE[key], abs=1e-6)
        assert features["colbert_score"] == pytest.approx(COLBERT[key], abs=1e-6)
        assert fields["summaryfeatures"]["attribute(year)"] == 1990 + int(key[1:])
        np.testing.assert_allclose(
            fields["summaryfeatures"]["query(q_dense)"]["values"], QUERY.dense, atol=1e-7
        )


@pytest.mark.parametrize(("offset", "hits"), [(0, 7), (5, 7), (18, 7), (500, 7)])
def test_a_page_is_a_part_of_the_whole(papers: Client, offset: int, hits: int) -> None:
    whole = papers.ids("true", "dense", **INPUTS)
    got = papers.ids("true", "dense", offset=offset, **{**INPUTS, "hits": hits})
    assert got == whole[offset : offset + hits]


def test_bm25_is_the_formulas(papers: Client) -> None:
    texts = {key: ["cat"] * (int(key[1:]) % 4) for key in DOCUMENTS}
    lengths = {key: 5 + 2 * len(words) for key, words in texts.items()}
    average = sum(lengths.values()) / len(lengths)
    having = sum(bool(words) for words in texts.values())
    rarity = np.log(1 + (len(texts) - having + 0.5) / (having + 0.5))
    got = papers.scores("text contains 'cats'", "bm25")
    assert got.keys() == {key for key, words in texts.items() if words}
    for key, score in got.items():
        count, share = len(texts[key]), lengths[key] / average
        want = rarity * count * 2.2 / (count + 1.2 * (0.25 + 0.75 * share))
        assert score == pytest.approx(want, abs=1e-6)


def test_a_missing_number_is_not_0_but_no_score(empty: Client) -> None:
    empty.put("own1", {"id": "own1", "title": "own"})
    [hit] = empty.hits('title contains "own"', "year")
    assert hit["relevance"] == "-Infinity"
    assert hit["fields"]["matchfeatures"]["attribute(public)"] == 0
    assert empty.hits('title contains "own"', "recent") == []


def test_a_drop_limit_is_the_highest_score_that_is_left_out(papers: Client) -> None:
    assert min(papers.scores("true", "recent").values()) == 2001


def test_a_tensor_that_is_missing_scores_0(empty: Client) -> None:
    empty.put("own1", {"id": "own1", "title": "own"})
    for profile in ("dense", "sparse", "bits"):
        assert empty.scores('title contains "own"', profile, **INPUTS) == {"own1": 0.0}


def test_a_zero_vector_is_at_a_right_angle_to_all(papers: Client) -> None:
    nothing = Vectors(np.zeros(8), {}, QUERY.colbert).inputs()
    assert {*papers.scores(NEAR, "close", **nothing).values()} == {0.5}


@pytest.mark.parametrize(
    ("profile", "message"),
    [
        ("unknown", "fieldMatch(text)"),
        ("native", "nativeRank"),
        ("default", "nativeRank"),
    ],
)
def test_a_feature_that_the_peer_does_not_know_is_an_error(
    papers: Client, profile: str, message: str
) -> None:
    with pytest.raises(RefusedError, match=r"does not (know|compute)") as caught:
        papers.search('title contains "odd"', profile)
    assert message in str(caught.value)
