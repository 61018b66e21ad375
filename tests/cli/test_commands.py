from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.shipped import LONGEST
from typer.main import get_command
from typer.testing import Result

import m3kit
from m3kit import open_index
from m3kit.cli.app import app
from m3kit.torch import TorchEncoder

Command = Callable[..., Result]

QUERY = "Open a dialog with Python"


def good(result: Result) -> str:
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    return result.stdout


def search_json(run: Command, *args: str) -> Any:
    return json.loads(good(run("search", *args, "--json")))


def ids(answer: Any) -> list[str]:
    return [hit["id"] for hit in answer["hits"]]


def test_options_are_in_lower_case() -> None:
    """Typer 0.27 makes `--MODEL` of a parameter `model` with the metavar MODEL."""
    commands: Any = get_command(app)
    for name, command in commands.commands.items():
        for parameter in command.params:
            if parameter.param_type_name == "option":
                assert [*map(str.lower, parameter.opts)] == parameter.opts, name


class TestSearch:
    def test_its_json_has_these_keys(
        self, run: Command, sample: Path, corpus: list[dict[str, Any]]
    ) -> None:
        answer = search_json(run, QUERY, "--in", str(sample), "-k", "3")
        assert list(answer) == ["query", "model", "hits"]
        assert answer["query"] == QUERY
        assert answer["model"] == TorchEncoder.from_pretrained("tiny").model
        assert len(answer["hits"]) == 3
        documents = {row["id"]: row for row in corpus}
        for hit in answer["hits"]:
            assert list(hit) == ["id", "score", "scores", "text", "metadata"]
            assert list(hit["scores"]) == ["dense", "sparse", "colbert"]
            assert hit["text"] == documents[hit["id"]]["text"]
            assert hit["metadata"] == documents[hit["id"]]["metadata"]
        assert answer["hits"][0]["id"] == "dialog.en"
        scores = [hit["score"] for hit in answer["hits"]]
        assert scores == sorted(scores, reverse=True)

    def test_people_see_a_table(self, run: Command, sample: Path) -> None:
        lines = good(run("search", QUERY, "--in", str(sample), "-k", "2")).splitlines()
        assert lines[0].split() == ["score", "dense", "sparse", "colbert", "document"]
        assert lines[1].split()[0] == "1"
        assert lines[1].split()[-1] == "dialog.en"
        assert "a macro shows a window" in lines[2]
        assert "lang=en" in lines[3]
        assert len(lines) == 7

    def test_conditions_hold(self, run: Command, sample: Path) -> None:
        german = search_json(run, QUERY, "--in", str(sample), "--where", "lang=de")
        assert german["hits"]
        assert {hit["metadata"]["lang"] for hit in german["hits"]} == {"de"}
        both = ("--where", "lang=de,fr", "--where", "topic*=dia")
        assert {
            id_.rpartition(".")[2]
            for id_ in ids(search_json(run, QUERY, "--in", str(sample), *both))
        } == {"de", "fr"}

    def test_nothing_found_is_no_error(self, run: Command, sample: Path) -> None:
        where = ("--where", "lang=xx")
        assert search_json(run, QUERY, "--in", str(sample), *where)["hits"] == []
        output = good(run("search", QUERY, "--in", str(sample), *where))
        assert output == "nothing found under these conditions\n"

    @pytest.mark.parametrize("reps", [["dense"], ["sparse"], ["colbert"], ["dense", "sparse"]])
    def test_representations_can_be_chosen(
        self, run: Command, sample: Path, reps: list[str]
    ) -> None:
        answer = search_json(run, QUERY, "--in", str(sample), "--reps", ",".join(reps))
        assert {tuple(hit["scores"]) for hit in answer["hits"]} == {tuple(reps)}

    def test_fusions_can_be_chosen(self, run: Command, sample: Path) -> None:
        answer = search_json(run, QUERY, "--in", str(sample), "--fusion", "weighted")
        best = answer["hits"][0]
        scores = best["scores"]
        weighted = (scores["dense"] + 0.3 * scores["sparse"] + scores["colbert"]) / 2.3
        assert best["score"] == pytest.approx(weighted, abs=1e-5)

    @pytest.mark.usefixtures("shelf")
    def test_the_number_of_candidates_can_be_chosen(self, run: Command, corpus_file: Path) -> None:
        good(run("index", str(corpus_file), "--to", "shelf://papers", "--model", "tiny"))
        best = ("--in", "shelf://papers", "-k", "1")
        nearest = {
            ids(search_json(run, QUERY, *best, "--reps", rep))[0] for rep in ("dense", "sparse")
        }
        weighted = ids(search_json(run, QUERY, *best, "--fusion", "weighted", "--candidates", "1"))
        assert set(weighted) <= nearest
        assert run("search", QUERY, *best, "--candidates", "0").exit_code == 2

    def test_documents_of_a_value_are_grouped(self, run: Command, sample: Path) -> None:
        every = search_json(run, QUERY, "--in", str(sample), "-k", "99")["hits"]
        topics = list(dict.fromkeys(hit["metadata"]["topic"] for hit in every))
        expected = [
            [hit["id"] for hit in every if hit["metadata"]["topic"] == topic][:2]
            for topic in topics[:3]
        ]
        for field in ("topic", '["topic"]'):
            options = ("-k", "3", "--group-by", field, "--group-size", "2")
            answer = search_json(run, QUERY, "--in", str(sample), *options)
            assert ids(answer) == [id_ for group in expected for id_ in group]

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (("--group-size", "2"), "give --group-by with it"),
            (("--group-by", "[1"), "--group-by"),
            (("--group-by", "[1]"), "the field of a group is a name"),
            (("--group-by", "a'b"), "a group cannot reach the field"),
        ],
    )
    def test_what_is_no_group_is_refused(
        self, run: Command, sample: Path, options: tuple[str, ...], message: str
    ) -> None:
        result = run("search", QUERY, "--in", str(sample), *options)
        assert result.exit_code == 2
        assert message in result.stderr

    def test_colbert_is_made_where_the_index_holds_none(
        self, run: Command, sample: Path, corpus_file: Path
    ) -> None:
        options = ("--to", "small", "--model", "tiny", "--reps", "dense,sparse")
        good(run("index", str(corpus_file), *options))
        assert list(search_json(run, QUERY, "--in", "small")["hits"][0]["scores"]) == [
            "dense",
            "sparse",
        ]
        reps = ("--reps", "dense,sparse,colbert")
        composed = search_json(run, QUERY, "--in", "small", *reps)
        stored = search_json(run, QUERY, "--in", str(sample), *reps)
        assert ids(composed) == ids(stored)

    def test_the_model_can_be_given(self, run: Command, sample: Path, checkpoint: Path) -> None:
        answer = search_json(run, QUERY, "--in", str(sample), "--model", str(checkpoint))
        assert answer["model"].startswith("mine@")
        assert ids(answer) == ids(search_json(run, QUERY, "--in", str(sample)))

    def test_the_model_can_be_a_setting(
        self, run: Command, sample: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("M3KIT_MODEL", str(checkpoint))
        assert search_json(run, QUERY, "--in", str(sample))["model"].startswith("mine@")

    def test_it_asks_for_the_folder_of_a_model_that_came_from_one(
        self, run: Command, checkpoint: Path, corpus_file: Path
    ) -> None:
        options = ("--to", "index", "--model", str(checkpoint), "--reps", "dense")
        good(run("index", str(corpus_file), *options))
        result = run("search", QUERY, "--in", "index")
        assert result.exit_code == 5
        assert "made by mine@" in result.stderr
        assert "give its folder with --model" in result.stderr
        assert search_json(run, QUERY, "--in", "index", "--model", str(checkpoint))["hits"]


class TestIndex:
    def test_it_says_what_it_did(self, run: Command, corpus_file: Path) -> None:
        output = good(run("index", str(corpus_file), "--to", "index", "--model", "tiny"))
        assert output == "wrote 12 documents to index, which holds 12 now\n"

    def test_a_second_run_changes_nothing(
        self, run: Command, corpus_file: Path, corpus: list[dict[str, Any]]
    ) -> None:
        for _ in range(2):
            good(run("index", str(corpus_file), "--to", "index", "--model", "tiny", "--batch", "5"))
        with open_index("index") as index:
            assert index.count() == len(corpus)
            assert {record.document.id for record in index.scan()} == {row["id"] for row in corpus}

    def test_every_format_at_once(self, run: Command, tmp_path: Path) -> None:
        (tmp_path / "docs").mkdir()
        (tmp_path / "docs/a.jsonl").write_text('{"id": "json", "text": "Zeilen einfügen"}\n')
        (tmp_path / "docs/b.csv").write_text("id,text,lang\ncsv,Insert rows,en\n")
        (tmp_path / "docs/c.txt").write_text("A paragraph.\n\nAnother.\n")
        (tmp_path / "docs/d.md").write_text("# Guide\n\nHow to start.\n")
        (tmp_path / "docs/e.html").write_text("<title>Page</title><p>A page.")
        (tmp_path / "docs/f.json").write_text('[{"text": "A list"}]')
        good(run("index", "docs", "--to", "index", "--model", "tiny"))
        with open_index("index") as index:
            stored = {record.document.id: record.document for record in index.scan()}
        places = {"c.txt#1", "c.txt#2", "d.md#1", "e.html#1", "f.json#1"}
        assert set(stored) == {"json", "csv", *places}
        assert stored["csv"].metadata == {"lang": "en"}
        assert stored["d.md#1"].text == "Guide\n\nHow to start."

    def test_long_documents_become_passages(self, run: Command, tmp_path: Path) -> None:
        (tmp_path / "docs").mkdir()
        (tmp_path / "docs/a.md").write_text("# Guide\n\n" + "A table has rows. " * 60)
        options = ("--to", "index", "--model", "tiny", "--chunk", "64", "--chunk-overlap", "8")
        assert good(run("index", "docs", *options)).startswith("wrote ")
        with open_index("index") as index:
            stored = {record.document.id: record.document for record in index.scan()}
        assert set(stored) == {f"a.md#{number}" for number in range(1, len(stored) + 1)}
        assert len(stored) > 4
        assert stored["a.md#2"].metadata == {
            "source": "a.md",
            "parent": "a.md",
            "position": 2,
            "headings": ["Guide"],
        }
        verified = run("verify", "docs", "--in", "index", "--chunk", "64", "--chunk-overlap", "8")
        assert verified.exit_code == 0, verified.output
        assert good(run("index", "docs", *options)).startswith("wrote 0 documents")
        for refused, named in [
            (
                ("--chunk", str(LONGEST + 1)),
                f"{LONGEST + 1} is more than the {LONGEST} tokens that the model reads",
            ),
            (("--chunk", "64", "--chunk-overlap", "33"), "33 is more than half of --chunk"),
            (("--chunk-overlap", "8"), "8 is more than 0 without --chunk"),
        ]:
            result = run("index", "docs", "--to", "other", "--model", "tiny", *refused)
            assert result.exit_code == 2
            assert named in result.stderr

    def test_a_prefix_tells_sources_apart(self, run: Command, tmp_path: Path) -> None:
        for version in ("v1", "v2"):
            (tmp_path / version).mkdir()
            (tmp_path / version / "a.txt").write_text("A table.")
            options = ("--to", "index", "--model", "tiny", "--prefix", version)
            good(run("index", version, *options))
        with open_index("index") as index:
            ids = sorted(record.document.id for record in index.scan())
        assert ids == ["v1/a.txt#1", "v2/a.txt#1"]

    def test_stdin_is_read(self, run: Command) -> None:
        options = ("--to", "index", "--model", "tiny")
        good(run("index", "-", *options, stdin='{"text": "表の行"}\n'))
        good(run("index", "-", "--format", "txt", "--split", "lines", *options, stdin="a\nb\n"))
        with open_index("index") as index:
            texts = {record.document.id: record.document.text for record in index.scan()}
        assert texts == {"stdin#1": "a", "stdin#2": "b"}

    def test_fields_have_the_names_that_people_say(self, run: Command) -> None:
        options = ("--to", "index", "--model", "tiny", "--text-field", "body", "--id-field", "key")
        good(run("index", "-", *options, stdin='{"key": "k", "body": "b", "text": "t"}\n'))
        with open_index("index") as index:
            (record,) = index.scan()
        assert (record.document.id, record.document.text) == ("k", "b")
        assert record.document.metadata == {"text": "t"}

    def test_an_index_keeps_what_it_holds(self, run: Command, corpus_file: Path) -> None:
        options = ("--to", "index", "--model", "tiny")
        good(run("index", str(corpus_file), *options, "--reps", "dense"))
        good(run("index", str(corpus_file), *options))
        result = run("index", str(corpus_file), *options, "--reps", "dense,sparse")
        assert result.exit_code == 4
        assert "exists and holds dense; leave --reps out" in result.stderr


class TestEncode:
    def test_a_line_holds_what_the_encoder_says(self, run: Command) -> None:
        texts = ["Zeilen einfügen", "表"]
        stdin = "".join(json.dumps({"id": text, "text": text}) + "\n" for text in texts)
        lines = good(run("encode", "-", "--model", "tiny", stdin=stdin)).splitlines()
        outputs = TorchEncoder.from_pretrained("tiny").encode_documents(texts)
        for text, line, output in zip(texts, lines, outputs, strict=True):
            read = json.loads(line)
            assert list(read) == ["id", "dense", "sparse", "colbert"]
            assert read["id"] == text
            assert output.sparse is not None
            assert {
                int(id_): np.float32(weight) for id_, weight in read["sparse"].items()
            } == output.sparse.to_dict()
            np.testing.assert_array_equal(np.array(read["dense"], np.float32), output.dense)
            np.testing.assert_array_equal(np.array(read["colbert"], np.float32), output.colbert)

    def test_it_gives_what_is_asked_for(self, run: Command) -> None:
        line = good(run("encode", "-", "--model", "tiny", "--reps", "sparse", stdin='{"text": ""}'))
        assert line == '{"id": "stdin#1", "sparse": {}}\n'

    def test_queries_are_encoded_as_such(self, run: Command, checkpoint: Path) -> None:
        prompts = {"prompts": {"query": "query: "}}
        (checkpoint / "config_sentence_transformers.json").write_text(json.dumps(prompts))
        options = ("--model", str(checkpoint), "--reps", "dense")
        document, query = (
            json.loads(good(run("encode", "-", *options, *more, stdin='{"text": "table"}')))
            for more in ([], ["--queries"])
        )
        assert document["dense"] != query["dense"]


class TestExplain:
    def test_its_json_has_these_keys_and_adds_up(self, run: Command, sample: Path) -> None:
        id_ = "dialog.en"
        read = json.loads(good(run("explain", QUERY, "--in", str(sample), "--id", id_, "--json")))
        assert list(read) == ["query", "id", "model", "scores", "matches", "alignment"]
        assert (read["query"], read["id"]) == (QUERY, id_)
        assert list(read["scores"]) == ["dense", "sparse", "colbert"]
        keys = ["token", "token_id", "query_weight", "document_weight", "product"]
        assert {tuple(match) for match in read["matches"]} == {tuple(keys)}
        keys = ["query", "document", "position", "similarity"]
        assert {tuple(row) for row in read["alignment"]} == {tuple(keys)}
        products = sum(match["product"] for match in read["matches"])
        assert products == pytest.approx(read["scores"]["sparse"], abs=1e-5)
        mean = np.mean([row["similarity"] for row in read["alignment"]])
        assert mean == pytest.approx(read["scores"]["colbert"], abs=1e-5)
        hits = search_json(run, QUERY, "--in", str(sample), "-k", "1")["hits"]
        assert read["scores"] == pytest.approx(hits[0]["scores"], abs=1e-4)

    def test_people_see_tables(self, run: Command, sample: Path) -> None:
        id_ = "dialog.en"
        shown = good(run("explain", QUERY, "--in", str(sample), "--id", id_))
        assert "matched token" in shown
        assert "nearest in document" in shown
        assert "python" in shown

    def test_what_the_index_lacks_is_made_from_the_text(
        self, run: Command, sample: Path, corpus_file: Path
    ) -> None:
        good(run("index", str(corpus_file), "--to", "small", "--model", "tiny", "--reps", "dense"))
        id_ = "dialog.en"
        computed, stored = (
            json.loads(good(run("explain", QUERY, "--in", address, "--id", id_, "--json")))
            for address in ("small", str(sample))
        )
        assert computed["scores"] == pytest.approx(stored["scores"], abs=1e-4)
        assert [row["document"] for row in computed["alignment"]] == [
            row["document"] for row in stored["alignment"]
        ]

    def test_an_unknown_id_is_named(self, run: Command, sample: Path) -> None:
        result = run("explain", QUERY, "--in", str(sample), "--id", "nobody")
        assert result.exit_code == 3
        assert result.stderr.startswith("error: no document 'nobody' in ")


class TestInfo:
    def test_its_json_has_these_keys(self, run: Command, sample: Path) -> None:
        read = json.loads(good(run("info", "--json")))
        assert list(read) == ["m3kit", "python", "packages", "devices", "schemes", "index"]
        assert read["m3kit"] == m3kit.__version__
        assert {"numpy", "torch"} < set(read["packages"])
        assert read["devices"][0] == "cpu"
        assert {"file", "qdrant"} <= set(read["schemes"])
        assert read["index"] is None
        index = json.loads(good(run("info", "--in", str(sample), "--json")))["index"]
        assert index == {
            "address": str(sample),
            "model": TorchEncoder.from_pretrained("tiny").model,
            "reps": ["dense", "sparse", "colbert"],
            "count": 12,
            "unindexed_fields": index["unindexed_fields"],
            "optimization": None,
        }

    def test_people_see_the_same(self, run: Command, sample: Path) -> None:
        shown = good(run("info", "--in", str(sample)))
        assert "12 documents, dense, sparse, colbert" in shown

    @pytest.mark.usefixtures("shelf")
    def test_it_names_the_fields_without_an_index(self, run: Command) -> None:
        open_index("shelf://fields", dim=4)
        index = json.loads(good(run("info", "--in", "shelf://fields", "--json")))["index"]
        assert index["unindexed_fields"] == ["topic", "year"]
        assert "unindexed fields  topic, year" in good(run("info", "--in", "shelf://fields"))

    @pytest.mark.usefixtures("shelf")
    def test_a_store_need_not_know_which_fields_have_an_index(self, run: Command) -> None:
        open_index("shelf://papers", dim=4)
        index = json.loads(good(run("info", "--in", "shelf://papers", "--json")))["index"]
        assert index["unindexed_fields"] is None
        assert "unindexed" not in good(run("info", "--in", "shelf://papers"))


class TestHelp:
    def test_the_version_is_said(self, run: Command) -> None:
        assert good(run("--version")) == f"{m3kit.__version__}\n"

    def test_nothing_asked_is_help(self, run: Command) -> None:
        assert good(run()) == good(run("--help"))

    def test_exit_codes_and_formats_are_documented(self, run: Command) -> None:
        assert "130  stopped by Ctrl-C" in good(run("--help"))
        for command, key in [
            ("encode", '"colbert"'),
            ("search", '"scores"'),
            ("explain", '"alignment"'),
            ("info", '"unindexed_fields"'),
        ]:
            assert key in good(run(command, "--help"))


class TestOptimize:
    def test_a_graph_is_built_and_info_says_what_searches_may_miss(
        self, run: Command, corpus_file: Path, tmp_path: Path
    ) -> None:
        to = str(tmp_path / "index")
        indexed = good(run("index", str(corpus_file), "--to", to, "--model", "tiny", "--optimize"))
        no_graph = "a folder with fewer than 10,000 documents gets no graph"
        assert indexed.splitlines()[1] == f"optimized {to}; {no_graph}"
        assert json.loads(good(run("info", "--in", to, "--json")))["index"]["optimization"] is None
        said = good(run("optimize", to, "--min-documents", "1", "--float32", "--in-memory"))
        assert said.startswith(f"optimized {to}: dense search is approximate, recall@10 1.000")
        stored = json.loads(good(run("info", "--in", to, "--json")))["index"]["optimization"]
        assert stored == {
            "documents": 12,
            "recall": 1.0,
            "queries": 12,
            "search": {"hnsw_ef": 64, "oversampling": 2},
        }
        assert "approximate, recall@10 1.000 of 12" in " ".join(
            good(run("info", "--in", to)).split()
        )
        for how in ("--exact", "--approximate"):
            assert ids(search_json(run, QUERY, "--in", to, "-k", "1", how)) == ["dialog.en"]

    @pytest.mark.usefixtures("shelf")
    def test_an_index_that_cannot_be_optimized_says_why(self, run: Command) -> None:
        open_index("shelf://papers", dim=3)
        result = run("optimize", "shelf://papers")
        assert result.exit_code == 4
        assert "ShelfIndex has nothing to optimize" in result.stderr
