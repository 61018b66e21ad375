"""
The conformance suite: what every index must do.

Subclass it, define a fixture, and inherit every test:

    class TestMyIndex(IndexConformance):
        @pytest.fixture
        def index(self) -> HybridIndex:
            return MyIndex(..., dim=DIM)

The index is empty, `DIM` wide, and holds the representations that it supports; tests of others are
skipped. Expected scores are computed here, document by document, independently of the code that
`MemoryIndex` and the stores share. Needs the extra `testing`.

An index that stores ColBERT vectors in less than float32 sets `storage`, and is compared with the
scores of that form. If the engine rounds the query, too, `tolerance` is the largest error allowed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any, ClassVar
from zlib import crc32

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from m3kit.adapters.storage import ColbertStorage
from m3kit.filters import (
    All,
    And,
    Contains,
    Eq,
    Exists,
    Filter,
    Ids,
    In,
    Not,
    Or,
    Range,
    Substring,
    field_path,
    matches,
)
from m3kit.filters import Field as FilterField
from m3kit.fusion import RRF, Fusion, WeightedSum
from m3kit.index import DocumentError, HybridIndex, RepresentationError, Search, VectorError
from m3kit.instants import instant
from m3kit.memory import MemoryIndex
from m3kit.records import Document, Hit, Record
from m3kit.scoring import require
from m3kit.vectors import REPS, Floats, M3Output, Rep, Sparse

DIM = 32
"""The width of the suite's vectors."""

PRECISION = 1e-5
"""The largest error of a score, for an engine that computes in float32."""


class HashEncoder:
    """
    A small, deterministic stand-in for the model, with M3's shapes.

    Words become hashed unit vectors, so that texts that share words are close. An empty text has a
    dense vector, no lexical weight, and the ColBERT vector of its end.
    """

    model = "hash"
    dim = DIM
    reps: frozenset[Rep] = frozenset(REPS)

    def encode_queries(
        self, texts: Sequence[str], reps: Collection[Rep] | None = None
    ) -> list[M3Output]:
        """Encode as `encode_documents` does."""
        return self.encode_documents(texts, reps)

    def encode_documents(
        self, texts: Sequence[str], reps: Collection[Rep] | None = None
    ) -> list[M3Output]:
        """Encode each text by its words."""
        return [self._encode(text).only(*(reps or REPS)) for text in texts]

    def _encode(self, text: str) -> M3Output:
        words = text.lower().split()
        colbert = np.stack([_unit(word) for word in [*words, "</s>"]])
        dense = np.sum([_unit(word) for word in sorted([*words, "</s>"])], axis=0)
        return M3Output(
            dense=(dense / np.linalg.norm(dense)).astype(np.float32),
            sparse=Sparse.from_dict({_token(word): _weight(word) for word in words}),
            colbert=colbert,
        )


def _token(word: str) -> int:
    return 4 + crc32(word.encode()) % 250_000


def _weight(word: str) -> float:
    return 0.05 + _token(word) % 997 / 997


def _unit(word: str) -> Floats:
    vector = np.random.default_rng(crc32(word.encode())).standard_normal(DIM)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


ENCODER = HashEncoder()

TEXTS = [
    "the dog is barking",
    "the cat is purring",
    "the bear is growling",
    "a growling bear ate the salmon",
    "dog and cat are friends",
    "tensor algebra on the gpu",
    "vector search with a sparse index",
    "the salmon swims against the stream",
    "über allen gipfeln ist ruh",
    "purring purring cat and bear",
    "",
]
DOCUMENTS = [
    Document(
        f"doc/{n} é",
        text,
        {"n": n, "lang": "de" if "ü" in text else "en", "even": n % 2 == 0, "tags": text.split()},
    )
    for n, text in enumerate(TEXTS)
]
NASTY_IDS = [
    "a",
    "A",
    "\uff21",
    "1",
    "01",
    "1.0",
    " 1",
    "a/b",
    "a%2Fb",
    "../../etc/passwd",
    'o\'neill "quoted" \\',
    "line\nbreak",
    "id:ns:type::x",
    "日本語",
    "🙂",
    "e\u0301",
    "\u00e9",
    "00000000-0000-0000-0000-000000000001",
    "x" * 500,
]
NASTY_VALUES = [
    "",
    " ",
    "'",
    '"',
    "\\",
    'a" or 1 == 1 or "',
    "x' OR '1'='1",
    "and not in like",
    "%_*?.[a-z]+",
    "{{x}} ${y} {0}",
    "line\nbreak\ttab",
    "naïve café",
    "e\u0301",
    "日本語",
    "🙂",
    "null",
    "true",
    "1",
    "A",
    "a",
]
NUMBERS: list[int | float] = [
    0, 1, 1.0, -1, 2, 0.5, -0.5, 1e-9, 1e300, 2**31, 2**53 - 1, 2**53, 2**53 + 1, 2.0**53,
    2**62 + 1, 2**63 - 1, -(2**53) - 1, -(2**63),
]  # fmt: skip
DATES = [
    "2024-03-01", "2024-03-01T00:00Z", "2024-02-29T23:30:00-01:00", "2024-03-01T00:30+01:00",
    "2024-03-01T09:30:00.000001", "2024-03-01 09:30", "1969-12-31T23:59:59.999999Z", "0001-01-01",
    "9999-12-31T23:59:59-23:59", "2024-03-01T24:00", "2024-02-30", "2024", "20240301", "",
]  # fmt: skip
"""ISO 8601 dates and times, some of one instant, and texts that only look like them."""

_MOMENTS = [date for date in DATES if instant(date) is not None]


def records(
    documents: Iterable[Document],
    storage: ColbertStorage = ColbertStorage(),  # noqa: B008  # frozen
) -> list[Record]:
    """Encode documents by `ENCODER`, in the form that an index with this storage has."""
    listed = list(documents)
    outputs = ENCODER.encode_documents([document.text for document in listed])
    stored = [storage.stored(require(output.colbert, "colbert")) for output in outputs]
    return [
        Record(document, replace(output, colbert=colbert))
        for document, output, colbert in zip(listed, outputs, stored, strict=True)
    ]


def query(text: str, *reps: Rep) -> M3Output:
    """Encode a query by `ENCODER`."""
    (output,) = ENCODER.encode_queries([text], reps or REPS)
    return output


# What Hypothesis draws ----------------------------------------------------------------------------

_words = st.sampled_from(
    ["dog", "cat", "bear", "salmon", "the", "growling", "purring", "index", "vector", "ruh"]
)
_texts = st.lists(_words, max_size=5).map(" ".join)
_strings = st.sampled_from(NASTY_VALUES) | st.text(
    st.characters(exclude_categories=["Cs"]), max_size=8
)
_integers = st.integers(-(2**63), 2**63 - 1)
_numbers = st.sampled_from(NUMBERS) | _integers | st.floats(allow_nan=False, allow_infinity=False)
_FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "string": _strings,
    "number": _numbers,
    "flag": st.booleans(),
    "strings": st.lists(_strings, max_size=3),
    "numbers": st.lists(st.sampled_from(NUMBERS), max_size=3),
    "dotted.name": _strings,
    "with space": st.sampled_from(NUMBERS),
    "ключ": st.lists(_strings, max_size=2) | _strings,
    "when": st.sampled_from(DATES),
    "dotted": st.fixed_dictionaries({}, optional={"name": st.sampled_from([1, True, "A"])}),
    "nested": st.fixed_dictionaries(
        {},
        optional={
            "number": st.sampled_from(NUMBERS),
            "strings": st.lists(st.sampled_from(NASTY_VALUES), max_size=2),
            "deeper": st.fixed_dictionaries(
                {}, optional={"when": st.sampled_from(DATES), "flag": st.booleans() | st.none()}
            ),
        },
    ),
}
_PATHS: list[FilterField] = [
    ("dotted", "name"),
    ("nested", "number"),
    ("nested", "strings"),
    ("nested", "deeper"),
    ("nested", "deeper", "when"),
    ("nested", "deeper", "flag"),
    ("string", "number"),
]


def json_values() -> st.SearchStrategy[Any]:
    """Draw any JSON that metadata may hold."""
    scalars = st.none() | st.booleans() | _numbers | _strings
    return st.recursive(
        scalars,
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
        ),
        max_leaves=6,
    ).filter(_is_text)


def documents() -> st.SearchStrategy[Document]:
    """Draw documents with metadata that `filters` reach, over a small pool of ids."""
    metadata = st.fixed_dictionaries(
        {}, optional={name: values | st.none() for name, values in _FIELDS.items()}
    )
    return st.builds(Document, st.sampled_from(NASTY_IDS), _texts, metadata)


def filters() -> st.SearchStrategy[Filter]:
    """Draw filters over the fields of `documents`, and one field that no document has."""
    names: st.SearchStrategy[FilterField] = st.sampled_from([*_FIELDS, *_PATHS, "missing"])
    strings = st.sampled_from(NASTY_VALUES)
    values = strings | st.sampled_from(NUMBERS)
    moments = st.sampled_from(_MOMENTS)

    def by_field(name: FilterField) -> st.SearchStrategy[Filter]:
        match field_path(name)[-1]:
            case "flag":
                operands: st.SearchStrategy[Any] = st.booleans()
            case "when":
                operands = st.sampled_from(DATES)
            case _:
                operands = values
        return (
            st.builds(Eq, st.just(name), operands)
            | st.builds(In, st.just(name), st.lists(operands, max_size=3))
            | st.builds(Contains, st.just(name), operands)
            | st.builds(Exists, st.just(name))
            | st.builds(Substring, st.just(name), strings.filter(bool))
            | st.builds(Range, st.just(name), ge=_numbers, lt=st.none() | _numbers)
            | st.builds(Range, st.just(name), gt=_numbers)
            | st.builds(Range, st.just(name), le=_numbers)
            | st.builds(Range, st.just(name), ge=moments, lt=st.none() | moments)
            | st.builds(Range, st.just(name), gt=moments)
            | st.builds(Range, st.just(name), le=moments)
        )

    leaves = (
        names.flatmap(by_field)
        | st.builds(Ids, st.lists(st.sampled_from(NASTY_IDS), max_size=3))
        | st.just(All())
    )
    return st.recursive(
        leaves,
        lambda inner: (
            st.builds(And, st.lists(inner, max_size=3))
            | st.builds(Or, st.lists(inner, max_size=3))
            | st.builds(Not, inner)
        ),
        max_leaves=4,
    )


def searches(reps: Collection[Rep]) -> st.SearchStrategy[Search]:
    """Draw requests for an index that holds `reps`."""
    fusions: st.SearchStrategy[Fusion] = st.sampled_from(
        [
            RRF(),
            RRF(k=1),
            RRF(weights={"sparse": 0.3}),
            WeightedSum(),
            WeightedSum(dense=0.4, sparse=0.2, colbert=0.4),
        ]
    )
    chosen = st.sets(st.sampled_from([rep for rep in REPS if rep in reps]), min_size=1)
    fields: st.SearchStrategy[FilterField] = st.sampled_from([*_FIELDS, *_PATHS, "missing"])
    groups = st.fixed_dictionaries({"group_by": fields, "group_size": st.integers(1, 3)})
    return st.builds(
        lambda text, taking_part, grouping, **options: Search(
            query=query(text, *taking_part), **grouping, **options
        ),
        _texts,
        chosen,
        st.just({}) | groups,
        k=st.integers(1, 6),
        candidates=st.sampled_from([1, 2, 3, 100]),
        fusion=fusions,
        where=st.none() | filters(),
        with_scores=st.booleans(),
    )


def _is_text(value: object) -> bool:
    try:
        str(value).encode()
    except UnicodeEncodeError:
        return False
    return True


# Expected results, computed by the definitions ----------------------------------------------------


def plain_score(rep: Rep, encoded: M3Output, document: M3Output) -> float:
    """Score one document by the definition, without a vectorised step."""
    if rep == "dense":
        assert encoded.dense is not None
        assert document.dense is not None
        return float(np.dot(encoded.dense.astype(np.float64), document.dense))
    if rep == "sparse":
        assert encoded.sparse is not None
        assert document.sparse is not None
        weights = document.sparse.to_dict()
        tokens = encoded.sparse.to_dict().items()
        return sum(weight * weights.get(token, 0.0) for token, weight in tokens)
    assert encoded.colbert is not None
    assert document.colbert is not None
    nearest = [max(token @ other for other in document.colbert) for token in encoded.colbert]
    return float(np.mean(nearest))


def plain_ranking(rep: Rep, encoded: M3Output, among: Iterable[Record]) -> list[tuple[str, float]]:
    """Order documents by one representation: best first, ties by id, no sparse score of zero."""
    scores = [(record.document.id, plain_score(rep, encoded, record.output)) for record in among]
    ranked = [pair for pair in scores if rep != "sparse" or pair[1] > 0]
    return sorted(ranked, key=lambda pair: (-round(pair[1], 6), pair[0]))


def assert_ranking(
    hits: Sequence[Hit], expected: Sequence[tuple[str, float]], *, within: float = PRECISION
) -> None:
    """
    Compare hits with ids and scores: the same order, and scores to `within`.

    If that is more than `PRECISION`, documents with scores that close may be in another order, and
    a document that was nearly expected may stand for the last.
    """
    assert [hit.score for hit in hits] == pytest.approx([pair[1] for pair in expected], abs=within)
    if within <= PRECISION:
        assert [hit.document.id for hit in hits] == [id_ for id_, _ in expected]
    assert len({hit.document.id for hit in hits}) == len(hits)
    for hit in hits:
        score = dict(expected).get(hit.document.id, expected[-1][1])
        assert hit.score == pytest.approx(score, abs=within)


def assert_same_hits(
    hits: Sequence[Hit], expected: Sequence[Hit], *, within: float = PRECISION
) -> None:
    """Compare hits with the oracle's as `assert_ranking` does, with their documents and scores."""
    assert_ranking(hits, [(hit.document.id, hit.score) for hit in expected], within=within)
    by_id = {hit.document.id: hit for hit in expected}
    for hit in hits:
        other = by_id.get(hit.document.id, hit)
        assert hit.document == other.document
        assert dict(hit.scores) == pytest.approx(dict(other.scores), abs=within)


def assert_same_vectors(got: M3Output, expected: M3Output, reps: Collection[Rep]) -> None:
    """Check that exactly `reps` came back, with the expected vectors."""
    assert got.reps == frozenset(reps)
    _assert_close(got.dense, expected.dense if "dense" in reps else None)
    _assert_close(got.colbert, expected.colbert if "colbert" in reps else None)
    if got.sparse is not None and expected.sparse is not None:
        assert got.sparse.ids.tolist() == expected.sparse.ids.tolist()
        _assert_close(got.sparse.weights, expected.sparse.weights)


def _assert_close(got: Floats | None, expected: Floats | None) -> None:
    if got is not None and expected is not None:
        assert got.shape == expected.shape
        assert np.abs(got - expected).max(initial=0) < 1e-6


def typed(value: object) -> object:
    """Spell a JSON value with its types, so that `1`, `1.0` and `True` differ."""
    if isinstance(value, dict):
        return {key: typed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [typed(item) for item in value]
    return (type(value).__name__, value)


_driven = settings(
    deadline=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,  # each example empties the one index
        HealthCheck.differing_executors,  # every subclass is another store
        HealthCheck.too_slow,
    ],
)


class IndexConformance:
    """What all indexes must do alike, a claim per test."""

    storage: ClassVar[ColbertStorage] = ColbertStorage()
    """How the index stores ColBERT vectors."""

    tolerance: ClassVar[float] = PRECISION
    """The largest error of a score in which ColBERT takes part."""

    def stored(self, documents: Iterable[Document]) -> list[Record]:
        """Return the records of documents in the form that the index stores."""
        return records(documents, self.storage)

    def within(self, encoded: M3Output) -> float:
        """Return the largest error allowed for the scores of a query."""
        return self.tolerance if "colbert" in encoded.reps else PRECISION

    @pytest.fixture
    def index(self) -> HybridIndex:
        """Return an empty index, `DIM` wide."""
        raise NotImplementedError("define this fixture in a subclass")

    @pytest.fixture
    def filled(self, index: HybridIndex) -> HybridIndex:
        """Return the index with `DOCUMENTS` in it."""
        index.upsert(records(DOCUMENTS))
        index.flush()
        return index

    # Candidates, fusion, scores

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
        _needs(filled, rep)
        encoded = query("the growling bear", rep)
        expected, within = plain_ranking(rep, encoded, self.stored(DOCUMENTS)), self.within(encoded)
        assert_ranking(filled.search(Search(query=encoded, k=4)), expected[:4], within=within)
        assert_ranking(filled.search(Search(query=encoded, k=100)), expected, within=within)

    @pytest.mark.parametrize("k", [60, 1])
    def test_rrf_counts_ranks_from_one_over_dense_and_sparse(
        self, filled: HybridIndex, k: int
    ) -> None:
        _needs(filled, "dense", "sparse")
        encoded = query("purring cat and growling dog", "dense", "sparse")
        expected = _plain_rrf(encoded, records(DOCUMENTS), RRF(k), candidates=100)
        assert_ranking(filled.search(Search(query=encoded, fusion=RRF(k), k=5)), expected[:5])

    @pytest.mark.parametrize("weights", [{"sparse": 0.3}, {"dense": 0}, {"dense": 2, "sparse": 7}])
    def test_rrf_weighs_the_two_rankings(
        self, filled: HybridIndex, weights: dict[Rep, float]
    ) -> None:
        _needs(filled, "dense", "sparse")
        fusion = RRF(weights=weights)
        for text in ("dog on the gpu", "bear against swims", "purring cat and growling dog"):
            encoded = query(text, "dense", "sparse")
            expected = _plain_rrf(encoded, records(DOCUMENTS), fusion, candidates=100)
            assert_ranking(filled.search(Search(query=encoded, fusion=fusion, k=5)), expected[:5])

    @pytest.mark.parametrize("candidates", [2, 3, 100])
    def test_colbert_rescores_the_best_of_rrf_and_is_no_third_ranking(
        self, filled: HybridIndex, candidates: int
    ) -> None:
        _needs(filled, *REPS)
        encoded = query("the salmon and the friends")
        fused = _plain_rrf(encoded, records(DOCUMENTS), RRF(), candidates=candidates)
        best = self.stored(_among({id_ for id_, _ in fused[:candidates]}))
        expected = plain_ranking("colbert", encoded, best)
        hits = filled.search(Search(query=encoded, k=2, candidates=candidates, fusion=RRF()))
        assert_ranking(hits, expected[:2], within=self.tolerance)

    @pytest.mark.parametrize("rep", ["dense", "sparse"])
    def test_colbert_rescores_the_candidates_of_one_branch(
        self, filled: HybridIndex, rep: Rep
    ) -> None:
        _needs(filled, rep, "colbert")
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
        _needs(filled, *reps)
        for text in (
            "dog on the gpu",
            "bear against swims",
            "cat algebra stream",
            "über the sparse",
        ):
            encoded = query(text, *reps)
            expected = _plain_weighted(
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
        _needs(index, rep)
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
        _needs(index, "dense", "sparse")
        twins = [Document(f"{n:02}", "the same bear") for n in (7, 3, 11, 5, 2, 9, 1, 8)]
        index.upsert(records([*DOCUMENTS, *twins]))
        encoded = query("same bear", "dense", "sparse")
        for candidates in (3, 5, 100):
            search = Search(query=encoded, k=3, candidates=candidates, fusion=RRF())
            expected = _plain_rrf(
                encoded, records([*DOCUMENTS, *twins]), RRF(), candidates=candidates
            )
            assert_ranking(index.search(search), expected[:3])

    @pytest.mark.parametrize("text", ["", "unheardof words"])
    def test_a_query_without_a_known_token_finds_nothing_in_the_sparse_branch(
        self, filled: HybridIndex, text: str
    ) -> None:
        _needs(filled, "sparse")
        assert filled.search(Search(query=query(text, "sparse"))) == []
        if "dense" in filled.reps:
            encoded = query(text, "dense", "sparse")
            expected = _plain_rrf(encoded, records(DOCUMENTS), RRF(), candidates=100)
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
        _needs(filled, "dense")
        encoded = query("bear", "dense")
        assert len(filled.search(Search(query=encoded, k=1000))) == len(DOCUMENTS)
        with pytest.raises(ValueError, match="at least 1"):
            Search(query=encoded, k=0)

    def test_k_above_candidates_widens_the_branches(self, filled: HybridIndex) -> None:
        _needs(filled, "dense", "sparse")
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

    # Groups

    @pytest.mark.parametrize("fusion", [RRF(), WeightedSum()], ids=repr)
    def test_a_group_has_its_best_hits_and_stands_where_the_best_does(
        self, filled: HybridIndex, fusion: Fusion
    ) -> None:
        wanted = [("even", 1, 1), ("even", 2, 2), ("even", 2, 9), ("lang", 2, 3), ("lang", 1, 2)]
        wanted += [("n", 3, 2), ("nothing", 4, 2)]
        for reps in _combinations(filled.reps):
            encoded = query("the growling bear and the salmon", *reps)
            if self.within(encoded) > PRECISION:
                continue  # scores that close may put another hit at the head of a group
            ranking = _plain_candidates(encoded, self.stored(DOCUMENTS), fusion, candidates=100)
            for field, k, group_size in wanted:
                hits = filled.search(
                    Search(query=encoded, fusion=fusion, k=k, group_by=field, group_size=group_size)
                )
                assert_ranking(hits, _plain_groups(ranking, field, k=k, group_size=group_size))

    @pytest.mark.parametrize("fusion", [RRF(), WeightedSum()], ids=repr)
    def test_groups_are_made_of_the_candidates_alone(
        self, filled: HybridIndex, fusion: Fusion
    ) -> None:
        for reps in _combinations(filled.reps):
            encoded = query("the growling bear and the salmon", *reps)
            if self.within(encoded) > PRECISION:
                continue  # the last of the candidates may be another
            ranking = _plain_candidates(encoded, self.stored(DOCUMENTS), fusion, candidates=3)
            for field in ("lang", "even"):
                search = Search(query=encoded, fusion=fusion, k=3, candidates=3, group_by=field)
                hits = filled.search(replace(search, with_scores=True))
                assert_ranking(hits, _plain_groups(ranking, field, k=3, group_size=1))
                assert all(set(hit.scores) == set(reps) for hit in hits)
            wider = replace(search, group_size=4)
            assert wider.candidates == 12
            ranking = _plain_candidates(encoded, self.stored(DOCUMENTS), fusion, candidates=12)
            assert_ranking(filled.search(wider), _plain_groups(ranking, "even", k=3, group_size=4))

    def test_a_filter_keeps_before_groups_are_made(self, filled: HybridIndex) -> None:
        rep: Rep = "dense" if "dense" in filled.reps else "colbert"
        _needs(filled, rep)
        encoded = query("the growling bear", rep)
        for where in (Range("n", ge=4), Not(Eq("even", value=True)), Contains("tags", "bear")):
            among = [document for document in DOCUMENTS if matches(where, document)]
            ranking = plain_ranking(rep, encoded, self.stored(among))
            search = Search(query=encoded, where=where, k=2, group_by="even", group_size=2)
            hits = filled.search(search)
            assert_ranking(
                hits, _plain_groups(ranking, "even", k=2, group_size=2), within=self.within(encoded)
            )

    @pytest.mark.parametrize(
        "values",
        [
            [1, 1.0, True, "1", [1], {"a": 1}, 2],
            [0, -0.0, False, "", [0.0], {"a": [False]}, {"a": [0]}],
            [None, [], [None], {}, "null", "None"],
            [2**53, 2.0**53, 2**53 + 1, 2**63 - 1],
            [["a", "b"], ["b", "a"], ["a", "b"], "a", ["a"]],
            [{"a": 1, "b": True}, {"b": True, "a": 1.0}, {"a": 1, "b": 1}],
        ],
        ids=repr,
    )
    def test_a_group_is_a_value_of_any_json(self, index: HybridIndex, values: list[Any]) -> None:
        documents = [
            Document(f"{n}{m}", "bear", {"a": value, "b": {"c": value}, "b.c": n})
            for n, value in enumerate(values)
            for m in range(2)
        ]
        lacking = [Document(f"x{n}", "bear", {"b": {}} if n else {}) for n in range(3)]
        index.upsert(records([*documents, *lacking]))
        rep: Rep = "dense" if "dense" in index.reps else "colbert"
        _needs(index, rep)
        distinct: list[Any] = []
        for value in values:
            if not any(_same(value, other) for other in distinct):
                distinct.append(value)
        alone = sum(value in (None, []) for value in distinct)
        shared = len(distinct) - alone
        single = len(lacking) + 2 * sum(value in (None, []) for value in values)
        for field in ("a", ("b", "c")):
            search = Search(query=query("bear", rep), k=100, group_by=field)
            hits = index.search(search)
            assert len(hits) == shared + single, field
            assert [hit.document.id for hit in hits] == sorted(hit.document.id for hit in hits)
        every = replace(search, group_size=100)
        assert len(index.search(every)) == len(documents) + len(lacking)
        dotted = replace(search, group_by="b.c")
        assert len(index.search(dotted)) == len(values) + len(lacking)

    def test_min_score_leaves_out_hits_of_a_group(self, filled: HybridIndex) -> None:
        encoded = query("the growling bear", *filled.reps)
        search = Search(query=encoded, k=2, group_by="even", group_size=9)
        every = filled.search(search)
        least = sorted(hit.score for hit in every)[len(every) // 2] - 1e-3
        hits = filled.search(replace(search, min_score=least))
        assert_same_hits(hits, [hit for hit in every if hit.score >= least])

    # What is refused, and that nothing is lost by it

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
        _needs(filled, rep)
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
        _needs(filled, rep)
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
        _needs(filled, rep)
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

    # Writing and reading back

    def test_upsert_replaces_the_old_version_altogether(self, filled: HybridIndex) -> None:
        new = Document(DOCUMENTS[0].id, "a wholly different thing", {"m": 1})
        filled.upsert(records([new]))
        filled.flush()
        (record,) = filled.get([new.id], filled.reps)
        assert record.document == new
        assert_same_vectors(record.output, self.stored([new])[0].output, filled.reps)
        assert filled.count() == len(DOCUMENTS)
        assert filled.count(Eq("n", 0)) == 0
        if "sparse" in filled.reps:
            assert filled.search(Search(query=query("barking", "sparse"))) == []

    def test_of_several_records_with_one_id_the_last_is_written(self, index: HybridIndex) -> None:
        index.upsert(records([Document("a", "old"), Document("b", "x"), Document("a", "new")]))
        assert index.count() == 2
        assert index.get(["a"])[0].document.text == "new"

    def test_writing_nothing_changes_nothing(self, filled: HybridIndex) -> None:
        filled.upsert([])
        filled.delete([])
        filled.flush()
        filled.flush()
        assert filled.get([]) == []
        assert filled.count() == len(DOCUMENTS)

    def test_get_keeps_the_order_of_ids_and_leaves_out_the_unknown(
        self, filled: HybridIndex
    ) -> None:
        ids = [DOCUMENTS[n].id for n in (8, 0, 3, 0)]
        got = filled.get([ids[0], "unknown", *ids[1:]])
        assert [record.document for record in got] == [DOCUMENTS[n] for n in (8, 0, 3, 0)]
        assert all(not record.output.reps for record in got)

    def test_vectors_come_back_as_they_were_written(self, filled: HybridIndex) -> None:
        written = {record.document.id: record.output for record in self.stored(DOCUMENTS)}
        for record in filled.get(list(written), filled.reps):
            assert_same_vectors(record.output, written[record.document.id], filled.reps)
        for rep in filled.reps:
            for record in filled.scan(None, [rep]):
                assert_same_vectors(record.output, written[record.document.id], [rep])

    def test_what_was_written_is_a_copy(self, index: HybridIndex) -> None:
        metadata = {"tags": ["a"]}
        (record,) = records([Document("a", "bear", metadata)])
        index.upsert([record])
        for vectors in (record.output.dense, record.output.colbert):
            assert vectors is not None
            vectors[:] = 0
        metadata["tags"].append("b")
        (got,) = index.get(["a"], index.reps)
        assert got.document == Document("a", "bear", {"tags": ["a"]})
        assert_same_vectors(got.output, self.stored([got.document])[0].output, index.reps)

    def test_scan_gives_every_document_once(self, index: HybridIndex) -> None:
        many = [Document(f"{n}", TEXTS[n % 10], {"n": n}) for n in range(1100)]
        index.upsert(records(many))
        index.flush()
        by_id = {document.id: document for document in many}
        scanned = [record.document for record in index.scan()]
        assert len(scanned) == len(many)
        assert {document.id: document for document in scanned} == by_id
        in_range = [record.document.id for record in index.scan(Range("n", ge=30, lt=1070))]
        assert sorted(in_range) == sorted(f"{n}" for n in range(30, 1070))
        assert index.count() == len(many)

    def test_delete_removes_documents_and_unknown_ids_are_no_error(
        self, filled: HybridIndex
    ) -> None:
        filled.delete([DOCUMENTS[0].id, "unknown", DOCUMENTS[0].id])
        filled.flush()
        assert filled.get([DOCUMENTS[0].id]) == []
        assert filled.count() == len(DOCUMENTS) - 1
        for rep in filled.reps:
            hits = filled.search(Search(query=query("the dog is barking", rep), k=100))
            assert DOCUMENTS[0].id not in {hit.document.id for hit in hits}

    def test_delete_where_leaves_the_rest_and_all_deletes_everything(
        self, filled: HybridIndex
    ) -> None:
        filled.delete_where(Contains("tags", "bear"))
        left = {document.id for document in DOCUMENTS if "bear" not in document.text.split()}
        assert {record.document.id for record in filled.scan()} == left
        filled.delete_where(All())
        assert filled.count() == 0
        filled.upsert(records(DOCUMENTS[:1]))
        assert [record.document for record in filled.scan()] == DOCUMENTS[:1]

    def test_ids_are_any_text_and_never_confused(self, index: HybridIndex) -> None:
        documents = [Document(id_, f"text {n}", {"n": n}) for n, id_ in enumerate(NASTY_IDS)]
        index.upsert(records(documents))
        assert index.count() == len(NASTY_IDS)
        assert [record.document for record in index.get(NASTY_IDS)] == documents
        index.delete(NASTY_IDS[:5])
        assert {record.document.id for record in index.scan()} == set(NASTY_IDS[5:])

    @_driven
    @given(
        metadata=st.dictionaries(st.text(max_size=8), json_values(), max_size=4).filter(_is_text)
    )
    @example({"id": 1, "text": 2, "dense": 3, "metadata": {"id": "x"}, "_id": None})
    @example({"": "", "a.b": 1, "a": {"b": 2}, '"': "'", "x[]": [1, 1.0, True, None, [], {}]})
    @example({"big": 2**63 - 1, "small": -(2**63), "float": 1e300, "zero": -0.0, "one": 1.0})
    def test_metadata_comes_back_exactly(
        self, index: HybridIndex, metadata: dict[str, Any]
    ) -> None:
        document = Document("a", "bear", metadata)
        index.upsert(records([document]))
        (got,) = index.get(["a"])
        assert typed(dict(got.document.metadata)) == typed(metadata)
        (scanned,) = index.scan()
        assert typed(dict(scanned.document.metadata)) == typed(metadata)
        (hit,) = index.search(Search(query=query("bear", *index.reps)))
        assert typed(dict(hit.document.metadata)) == typed(metadata)

    # Filters

    @pytest.mark.parametrize(
        "where",
        [
            Eq("lang", "de"),
            Eq("even", value=True),
            Eq("n", 3.0),
            Eq("tags", "bear"),
            Eq("lang", np.str_("de")),
            In("n", (np.float64(3), 5)),
            In("n", (1, 3, 5)),
            In("n", ()),
            Range("n", ge=2, lt=6),
            Range("n", gt=2.5, le=6.0),
            Contains("tags", "cat"),
            Contains("lang", "en"),
            Exists("n"),
            Exists("nothing"),
            Exists("tags"),
            Substring("lang", "e"),
            Substring("tags", "bear"),
            Ids((DOCUMENTS[3].id, "unknown")),
            Ids(()),
            All(),
            Eq("lang", "en") & Range("n", ge=4),
            Eq("n", 0) | Eq("n", 9),
            ~Eq("even", value=True),
            ~Eq("nothing", 1),
            And(()),
            Or(()),
            Not(Or((Eq("n", 1), Not(Range("n", lt=5))))),
        ],
        ids=repr,
    )
    def test_a_filter_keeps_what_matches_keeps(self, filled: HybridIndex, where: Filter) -> None:
        _assert_filters(filled, where, DOCUMENTS)

    @pytest.mark.parametrize("value", NASTY_VALUES, ids=ascii)
    def test_a_value_is_data_and_never_part_of_a_query(
        self, index: HybridIndex, value: str
    ) -> None:
        documents = [
            Document(f"{n}", "bear", {"a": nasty, "list": [nasty, "z"]})
            for n, nasty in enumerate(NASTY_VALUES)
        ]
        index.upsert(records(documents))
        for where in (Eq("a", value), Contains("list", value), In("a", (value, "zz"))):
            _assert_filters(index, where, documents)
            _assert_filters(index, Not(where), documents)
        if value:
            _assert_filters(index, Substring("a", value), documents)

    @pytest.mark.parametrize("value", NUMBERS, ids=repr)
    def test_numbers_compare_by_value(self, index: HybridIndex, value: float) -> None:
        documents = [
            Document(f"{n}", "bear", {"a": number, "list": [number, "z"], "flag": bool(n % 2)})
            for n, number in enumerate(NUMBERS)
        ]
        index.upsert(records(documents))
        for where in (
            Eq("a", value),
            Contains("list", value),
            In("a", (value, 7)),
            Range("a", gt=value),
            Range("a", ge=value),
            Range("a", lt=value),
            Range("a", le=value),
        ):
            _assert_filters(index, where, documents)

    def test_a_dot_in_a_fields_name_is_a_plain_character(self, index: HybridIndex) -> None:
        documents = [
            Document("dotted", "bear", {"a.b": 1}),
            Document("nested", "bear", {"a": {"b": 1}}),
            Document("both", "bear", {"a.b": 2, "a": {"b": 1}}),
        ]
        index.upsert(records(documents))
        for where in (Eq("a.b", 1), Eq("a.b", 2), Exists("a.b"), Not(Eq("a.b", 1))):
            _assert_filters(index, where, documents)

    @_driven
    @given(
        drawn=st.lists(documents(), max_size=6, unique_by=lambda document: document.id),
        where=filters(),
    )
    def test_any_filter_keeps_what_matches_keeps(
        self, index: HybridIndex, drawn: list[Document], where: Filter
    ) -> None:
        index.delete_where(All())
        index.upsert(records(drawn))
        _assert_filters(index, where, drawn)

    # All of it together

    @_driven
    @given(data=st.data())
    def test_any_history_leaves_what_the_oracle_has(
        self, index: HybridIndex, data: st.DataObject
    ) -> None:
        index.delete_where(All())
        oracle = MemoryIndex(DIM, reps=index.reps, colbert=self.storage)
        for _ in range(data.draw(st.integers(1, 5))):
            _step(data, index, oracle)
        assert index.count() == oracle.count()
        search = data.draw(searches(index.reps))
        within = self.within(search.query)
        if within > PRECISION:  # scores that close may put another hit at the head of a group
            search = replace(search, group_by=None, group_size=1)
        hits = index.search(search)
        assert_same_hits(hits, oracle.search(search), within=within)


def _step(data: st.DataObject, *indexes: HybridIndex) -> None:
    """Do the same to all indexes: write, or delete by id or by filter."""
    verb = data.draw(st.sampled_from(["upsert", "upsert", "delete", "delete_where"]))
    batch = records(data.draw(st.lists(documents(), max_size=4)))
    ids = data.draw(st.lists(st.sampled_from(NASTY_IDS), max_size=3))
    where = data.draw(filters())
    for index in indexes:
        if verb == "upsert":
            index.upsert(batch)
        elif verb == "delete":
            index.delete(ids)
        else:
            index.delete_where(where)


def _assert_filters(index: HybridIndex, where: Filter, among: Sequence[Document]) -> None:
    expected = sorted(document.id for document in among if matches(where, document))
    assert sorted(record.document.id for record in index.scan(where)) == expected
    assert index.count(where) == len(expected)
    rep: Rep = "dense" if "dense" in index.reps else "colbert"
    _needs(index, rep)
    hits = index.search(Search(query=query("bear", rep), k=100, where=where))
    assert sorted(hit.document.id for hit in hits) == expected


def _needs(index: HybridIndex, *reps: Rep) -> None:
    missing = [rep for rep in reps if rep not in index.reps]
    if missing:
        pytest.skip(f"the index holds no {', '.join(missing)}")


def _among(ids: Collection[str]) -> list[Document]:
    return [document for document in DOCUMENTS if document.id in ids]


def _plain_rrf(
    encoded: M3Output, among: Sequence[Record], fusion: RRF, *, candidates: int
) -> list[tuple[str, float]]:
    scores: dict[str, float] = {}
    branches: tuple[Rep, ...] = ("dense", "sparse")
    for rep in (rep for rep in branches if rep in encoded.reps):
        weight = fusion.weights.get(rep, 1)
        for rank, (id_, _) in enumerate(plain_ranking(rep, encoded, among)[:candidates], start=1):
            scores[id_] = scores.get(id_, 0.0) + weight / (fusion.k + rank)
    return sorted(scores.items(), key=lambda pair: (-round(pair[1], 12), pair[0]))


def _plain_weighted(
    encoded: M3Output, among: Sequence[Record], fusion: WeightedSum, *, candidates: int
) -> list[tuple[str, float]]:
    branches: list[Rep] = [rep for rep in ("dense", "sparse") if rep in encoded.reps]
    rankings = [plain_ranking(rep, encoded, among)[:candidates] for rep in branches]
    union = {id_ for ranking in rankings for id_, _ in ranking}
    weights = {rep: getattr(fusion, rep) for rep in encoded.reps}
    scores = {
        record.document.id: sum(
            weight * plain_score(rep, encoded, record.output) for rep, weight in weights.items()
        )
        / sum(weights.values())
        for record in among
        if record.document.id in union
    }
    return sorted(scores.items(), key=lambda pair: (-round(pair[1], 6), pair[0]))


def _plain_candidates(
    encoded: M3Output, among: Sequence[Record], fusion: Fusion, *, candidates: int
) -> list[tuple[str, float]]:
    """Rank all candidates of a search."""
    if len(encoded.reps) == 1:
        (rep,) = encoded.reps
        return plain_ranking(rep, encoded, among)[:candidates]
    if isinstance(fusion, WeightedSum):
        return _plain_weighted(encoded, among, fusion, candidates=candidates)
    branches = encoded.only(*(rep for rep in encoded.reps if rep != "colbert"))
    fused = _plain_rrf(branches, among, fusion, candidates=candidates)
    if "colbert" not in encoded.reps:
        return fused
    best = {id_ for id_, _ in fused[:candidates]}
    return plain_ranking(
        "colbert", encoded, [record for record in among if record.document.id in best]
    )


def _plain_groups(
    ranking: Sequence[tuple[str, float]], field: str, *, k: int, group_size: int
) -> list[tuple[str, float]]:
    """Take the hits of a ranking of `DOCUMENTS`, best first, to the groups of plain values."""
    values = {document.id: document.metadata.get(field) for document in DOCUMENTS}
    groups: list[tuple[Any, list[tuple[str, float]]]] = []
    for id_, score in ranking:
        value = id_ if values[id_] is None else values[id_]
        for known, group in groups:
            if known == value and type(known) is type(value):
                group.append((id_, score))
                break
        else:
            groups.append((value, [(id_, score)]))
    return [pair for _, group in groups[:k] for pair in group[:group_size]]


def _combinations(reps: Collection[Rep]) -> list[tuple[Rep, ...]]:
    """Return what a query may carry."""
    ordered = [rep for rep in REPS if rep in reps]
    return [chosen for n in range(len(ordered)) for chosen in combinations(ordered, n + 1)]


def _same(value: object, other: object) -> bool:
    """Compare JSON: numbers by value, and True is not 1."""
    if isinstance(value, dict) and isinstance(other, dict):
        return value.keys() == other.keys() and all(_same(value[key], other[key]) for key in value)
    if isinstance(value, list) and isinstance(other, list):
        return len(value) == len(other) and all(map(_same, value, other))
    if isinstance(value, bool) or isinstance(other, bool):
        return value is other
    if isinstance(value, int | float) and isinstance(other, int | float):
        return value == other
    return type(value) is type(other) and value == other


def _spoiled(output: M3Output, rep: Rep, value: float) -> M3Output:
    """Replace a number of a vector by one that is not finite."""
    assert output.dense is not None
    assert output.colbert is not None
    dense, colbert = output.dense.copy(), output.colbert.copy()
    (dense if rep == "dense" else colbert[-1])[3] = value
    return M3Output(dense=dense, sparse=output.sparse, colbert=colbert)
