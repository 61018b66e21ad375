from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.vespa_peer.peer import Report, validate

pytestmark = pytest.mark.peer

SCHEMA, SERVICES = "schemas/paper.sd", "services.xml"
DENSE_INPUT = "query(q_dense) tensor<float>(x[8])"


class Mistake(NamedTuple):
    """What stands where something else should, and what is said of it."""

    file: str
    right: str
    wrong: str
    verdict: str
    message: str


SPARSE = "sum(query(q_sparse) * attribute(sparse))"
MISTAKES = {
    "query tensor of another size": Mistake(
        SCHEMA, DENSE_INPUT, "query(q_dense) tensor<float>(x[7])", "INVALID", "Unequal dimension x"
    ),
    "query input not declared": Mistake(
        SCHEMA, "query(q_sparse) tensor<float>(token{})", "", "UNSURE", "query(q_sparse)"
    ),
    "unknown function in an expression": Mistake(
        SCHEMA, SPARSE, SPARSE.replace("sum", "total"), "UNSURE", "total"
    ),
    "unbalanced parenthesis": Mistake(SCHEMA, SPARSE, SPARSE[:-1], "INVALID", "Encountered"),
    "reduce over an unknown dimension": Mistake(
        SCHEMA,
        "attribute(colbert), x), max, t)",
        "attribute(colbert), x), max, z)",
        "INVALID",
        "must produce a double",
    ),
    "a score that is a tensor": Mistake(
        SCHEMA, SPARSE, SPARSE.removeprefix("sum"), "INVALID", "double"
    ),
    "unknown attribute in an expression": Mistake(
        SCHEMA, "attribute(sparse)", "attribute(nobody)", "INVALID", "nobody"
    ),
    "attribute that is no number": Mistake(
        SCHEMA, "attribute(year)", "attribute(tags)", "UNSURE", "attribute(tags)"
    ),
    "unknown field in closeness": Mistake(
        SCHEMA, "closeness(field, dense)", "closeness(field, nobody)", "UNSURE", "nobody"
    ),
    "closeness of what is no tensor": Mistake(
        SCHEMA, "closeness(field, dense)", "closeness(field, year)", "UNSURE", "year"
    ),
    "unknown rank feature": Mistake(
        SCHEMA, "rawScore(words)", "rowScore(words)", "UNSURE", "rowScore(words)"
    ),
    "unknown field in rawScore": Mistake(
        SCHEMA, "rawScore(words)", "rawScore(nobody)", "UNSURE", "rawScore(nobody)"
    ),
    "bm25 without its index": Mistake(SCHEMA, "index: enable-bm25", "", "UNSURE", "bm25(text)"),
    "unknown match feature": Mistake(
        SCHEMA, "sparse_score colbert_score", "sparse_score nobody", "UNSURE", "nobody"
    ),
    "unknown name in the global phase": Mistake(
        SCHEMA, "if (sparse_score > 0,", "if (nobody > 0,", "UNSURE", "nobody"
    ),
    "a function with a field's name": Mistake(
        SCHEMA, "dense_score", "dense", "UNSURE", "closeness(field,rankingExpression(dense))"
    ),
    "normalizer outside the global phase": Mistake(
        SCHEMA, "rawScore(words)", "reciprocal_rank(dense_score)", "INVALID", "reciprocal_rank"
    ),
    "unknown distance metric": Mistake(
        SCHEMA, "prenormalized-angular", "cosine", "INVALID", "COSINE"
    ),
    "hnsw on a sparse tensor": Mistake(
        SCHEMA,
        "field sparse type tensor<float>(token{}) {\n            indexing: attribute",
        "field sparse type tensor<float>(token{}) {\n            indexing: attribute | index",
        "INVALID",
        "index",
    ),
    "unknown field type": Mistake(
        SCHEMA, "weightedset<int>", "weightedset<integer>", "INVALID", "integer"
    ),
    "weighted set of floats": Mistake(
        SCHEMA, "weightedset<int>", "weightedset<float>", "INVALID", "float"
    ),
    "a field twice": Mistake(
        SCHEMA, "field year type int", "field price type int", "INVALID", "price"
    ),
    "a hyphen in a field's name": Mistake(
        SCHEMA, "field note type", "field the-note type", "INVALID", "the-note"
    ),
    "unknown indexing verb": Mistake(
        SCHEMA, "indexing: index | summary", "indexing: index | sumary", "INVALID", "sumary"
    ),
    "indexing that changes a field": Mistake(
        SCHEMA,
        "indexing: index | summary",
        "indexing: lowercase | index | summary",
        "INVALID",
        "attempts to modify",
    ),
    "a text index without stems": Mistake(
        SCHEMA, "index: enable-bm25", "index: enable-bm25\nstemming: none", "UNSURE", "'text'"
    ),
    "indexing that the peer does not run": Mistake(
        SCHEMA,
        "indexing: index | summary",
        "indexing: index | summary | set_language",
        "UNSURE",
        "indexing",
    ),
    "a field that indexing makes": Mistake(
        SCHEMA,
        "    fieldset default",
        "    field made type string {\n indexing: input id | attribute\n }\n    fieldset default",
        "UNSURE",
        "made",
    ),
    "parameters of bm25": Mistake(
        SCHEMA,
        "rank-profile bm25 {",
        "rank-profile bm25 {\n rank-properties {\n bm25(text).k1: 2.0\n }",
        "UNSURE",
        "bm25(text).k1",
    ),
    "diversity in the match phase": Mistake(
        SCHEMA,
        "rank-profile bm25 {",
        "rank-profile bm25 {\n match-phase {\n attribute: serial\n max-hits: 10\n }",
        "UNSURE",
        "matchphase",
    ),
    "unknown rank profile to inherit": Mistake(
        SCHEMA, "rank-profile raw inherits scores", "rank-profile raw inherits no", "INVALID", "no"
    ),
    "document type without a schema": Mistake(
        SERVICES, 'type="paper"', 'type="nobody"', "INVALID", "nobody"
    ),
    "documents that are streamed": Mistake(
        SERVICES, 'mode="index"', 'mode="streaming"', "UNSURE", "streamed"
    ),
    "unknown element in services.xml": Mistake(
        SERVICES, "<document-api/>", "<document-api/><nobody/>", "INVALID", "nobody"
    ),
    "malformed services.xml": Mistake(SERVICES, "</services>", "", "INVALID", "services"),
    "no redundancy": Mistake(SERVICES, "<redundancy>1</redundancy>", "", "INVALID", "redundancy"),
}


@pytest.fixture(scope="module")
def reports(package: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Report]:
    """What deployment says of each mistake, and of the package without one."""
    root = tmp_path_factory.mktemp("mistakes")
    copies = [root / f"{number}" for number in range(len(MISTAKES))]
    for copy, mistake in zip(copies, MISTAKES.values(), strict=True):
        shutil.copytree(package, copy)
        text = (copy / mistake.file).read_text()
        assert mistake.right in text
        (copy / mistake.file).write_text(text.replace(mistake.right, mistake.wrong))
    return dict(zip(["none", *MISTAKES], validate(package, *copies), strict=True))


def test_a_package_without_mistakes_is_valid(package: Path, reports: dict[str, Report]) -> None:
    assert reports["none"] == Report(package, "OK", ())


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_found(reports: dict[str, Report], name: str) -> None:
    report = reports[name]
    assert report.verdict == MISTAKES[name].verdict, report
    assert MISTAKES[name].message in "\n".join(report.messages)


def test_a_package_that_is_not_there_is_invalid(package: Path, tmp_path: Path) -> None:
    [report] = validate(tmp_path / "nothing")
    assert report.verdict == "INVALID"
    assert package != report.package
