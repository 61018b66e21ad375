"""What is refused, and that nothing is lost by it."""

from __future__ import annotations

import numpy as np
import pytest

from m3kit.index import DocumentError, HybridIndex, RepresentationError, Search, VectorError
from m3kit.records import Document, Record
from m3kit.testing.encoder import DIM, query, records
from m3kit.testing.samples import DOCUMENTS
from m3kit.testing.suite import Suite, needs
from m3kit.vectors import REPS, M3Output, Rep


class RefusalConformance(Suite):
    """What an index refuses, before anything is written."""

    def test_a_search_by_what_the_index_does_not_hold_is_refused(self, filled: HybridIndex) -> None:
        missing = [rep for rep in REPS if rep not in filled.reps]
        if not missing:
            pytest.skip("holds all representations")
        with pytest.raises(RepresentationError, match=missing[0]):
            filled.search(Search(query=query("bear", missing[0])))
        with pytest.raises(RepresentationError, match=missing[0]):
            filled.get([DOCUMENTS[0].id], missing[:1])

    @pytest.mark.parametrize("rep", REPS)
    def test_a_record_that_lacks_a_representation_is_refused_before_anything_is_written(
        self, filled: HybridIndex, rep: Rep
    ) -> None:
        needs(filled, rep)
        good, bad = records([Document("good", "new"), Document("bad one", "new")])
        others = [other for other in REPS if other != rep]
        with pytest.raises(RepresentationError, match=f"'bad one' carries no {rep}"):
            filled.upsert([good, Record(bad.document, bad.output.only(*others))])
        assert filled.get(["good", "bad one"]) == []
        assert filled.count() == len(DOCUMENTS)

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    @pytest.mark.parametrize("rep", ["dense", "colbert"])
    def test_a_vector_that_is_not_finite_is_refused_before_anything_is_written(
        self, filled: HybridIndex, rep: Rep, value: float
    ) -> None:
        needs(filled, rep)
        good, bad = records([Document("good", "new"), Document("bad one", "new")])
        output = _spoiled(bad.output, rep, value)
        with pytest.raises(VectorError, match="'bad one'"):
            filled.upsert([good, Record(bad.document, output)])
        assert filled.get(["good", "bad one"]) == []
        with pytest.raises(VectorError, match="query"):
            filled.search(Search(query=output.only(rep)))

    @pytest.mark.parametrize("rep", ["dense", "colbert"])
    def test_a_vector_of_another_width_is_refused_before_anything_is_written(
        self, filled: HybridIndex, rep: Rep
    ) -> None:
        needs(filled, rep)
        good, bad = records([Document("good", "new"), Document("bad one", "new")])
        wide = np.ones((2, DIM + 1), dtype=np.float32)
        output = M3Output(
            dense=wide[0] if rep == "dense" else bad.output.dense,
            sparse=bad.output.sparse,
            colbert=wide if rep == "colbert" else bad.output.colbert,
        )
        with pytest.raises(VectorError, match=f"'bad one' is {DIM + 1} wide"):
            filled.upsert([good, Record(bad.document, output)])
        assert filled.get(["good", "bad one"]) == []
        with pytest.raises(VectorError, match="query"):
            filled.search(Search(query=output.only(rep)))

    def test_a_very_long_text_comes_back_whole_or_is_refused_by_name(
        self, filled: HybridIndex
    ) -> None:
        long = Document("long one", "wörter " * 200_000)
        (record,) = records([Document("long one", "wörter")])
        try:
            filled.upsert([Record(long, record.output)])
        except DocumentError as error:
            refusal = str(error)
        else:
            refusal = ""
        if refusal:
            assert "long one" in refusal
            assert filled.count() == len(DOCUMENTS)
        else:
            assert filled.get(["long one"])[0].document == long


def _spoiled(output: M3Output, rep: Rep, value: float) -> M3Output:
    """Replace a number of a vector by one that is not finite."""
    assert output.dense is not None
    assert output.colbert is not None
    dense, colbert = output.dense.copy(), output.colbert.copy()
    (dense if rep == "dense" else colbert[-1])[3] = value
    return M3Output(dense=dense, sparse=output.sparse, colbert=colbert)
