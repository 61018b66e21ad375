"""The suite is only worth something if it fails: each wrong index breaks the sentence named."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import m3kit.testing  # noqa: F401  # loaded here, as NumPy cannot be imported twice

SOURCE = Path(__file__).with_name("wrong_indexes.py")
WRONG = {
    "ScoresAMissingBranchZero": "weighted_sum_scores_every_candidate",
    "IgnoresTheWeightsOfRrf": "rrf_weighs_the_two_rankings",
    "CountsRanksFromZero": "rrf_counts_ranks_from_one",
    "SumsMaxsim": "one_representation_alone",
    "MakesColbertAThirdRanking": "colbert_rescores_the_best_of_rrf",
    "RoundsColbertUnasked": "vectors_come_back_as_they_were_written",
    "FiltersAfterTheCut": "a_filter_keeps_before_a_branch_is_cut",
    "IgnoresTheFilter": "a_filter_keeps_what_matches_keeps",
    "IgnoresTheFilterOfAScan": "a_filter_keeps_what_matches_keeps",
    "KeepsTheOldVersion": "upsert_replaces_the_old_version",
    "KeepsTheFirstOfABatch": "of_several_records_with_one_id",
    "WritesBeforeItChecks": "refused_before_anything_is_written",
    "LosesAType": "metadata_comes_back_exactly",
    "BreaksTiesByArrival": "ties_go_by_id",
    "KeepsTheCallersArrays": "what_was_written_is_a_copy",
    "ForgetsToNormaliseTheWeights": "weighted_sum_scores_every_candidate",
    "GivesScoresOnlyWhereABranchFoundThem": "scores_are_those_of_each_representation",
    "FindsZeroOverlap": "a_query_without_a_known_token",
    "ConfusesIdsByCase": "ids_are_any_text_and_never_confused",
    "GetsInItsOwnOrder": "get_keeps_the_order_of_ids",
    "GroupsAfterTheCut": "a_group_has_its_best_hits",
    "LooksForMoreGroupsThanTheCandidatesForm": "groups_are_made_of_the_candidates_alone",
    "OrdersHitsOfGroupsByTheirScores": "a_group_has_its_best_hits",
    "PutsWhatLacksTheFieldIntoOneGroup": "a_group_has_its_best_hits",
    "LeavesOutWhatLacksTheField": "a_group_has_its_best_hits",
    "GroupsByPythonsEquality": "a_group_is_a_value_of_any_json",
    "FiltersAfterItGroups": "a_filter_keeps_before_groups_are_made",
}
SUITE = """
import pytest
from m3kit.testing import DIM, IndexConformance

class TestWrong(IndexConformance):
    @pytest.fixture
    def index(self):
        return {index}(DIM)
"""
UNSHRUNK = """
from hypothesis import Phase, settings

settings.register_profile("unshrunk", phases=[Phase.generate], max_examples=1000, database=None)
settings.load_profile("unshrunk")
"""
NO_PLUGINS = ("-p", "no:asyncio", "-p", "no:langsmith_plugin")
SEED = "--hypothesis-seed=2"
"""With which the first wrong index is found by the sixth history; others take up to 150."""


@pytest.mark.parametrize(("index", "sentence"), WRONG.items())
def test_a_wrong_index_fails(pytester: pytest.Pytester, index: str, sentence: str) -> None:
    pytester.makepyfile(SOURCE.read_text(encoding="utf-8") + SUITE.format(index=index))
    outcomes = pytester.runpytest_inprocess("-k", sentence, *NO_PLUGINS)
    assert outcomes.parseoutcomes().get("failed", 0) > 0


@pytest.mark.parametrize(
    "index",
    [
        "KeepsTheOldVersion",
        pytest.param("IgnoresTheFilter", marks=pytest.mark.slow),
        pytest.param("SumsMaxsim", marks=pytest.mark.slow),
    ],
)
def test_a_wrong_index_fails_a_drawn_history(pytester: pytest.Pytester, index: str) -> None:
    pytester.makeconftest(UNSHRUNK)
    pytester.makepyfile(SOURCE.read_text(encoding="utf-8") + SUITE.format(index=index))
    outcomes = pytester.runpytest_subprocess("-k", "any_history", SEED, *NO_PLUGINS)
    outcomes.assert_outcomes(failed=1)


def test_every_wrong_index_is_tried() -> None:
    defined = re.findall(r"^class (\w+)", SOURCE.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(defined) == sorted(WRONG)
