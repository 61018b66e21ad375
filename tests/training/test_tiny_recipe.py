"""The recipe of the tiny model, on a few sentences: what each step claims."""

from __future__ import annotations

import random
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from examples.data.build import held_out as is_test_page

pytest.importorskip("accelerate", reason="the extra `train` is not installed")
pytest.importorskip("lxml", reason="pages are read by lxml")
pytest.importorskip("sentencepiece", reason="the tokenizer is trained by SentencePiece")

from tests.training.conftest import load_tiny
from training.tiny import packages
from training.tiny.bag import (
    FREQUENCY,
    RARITY,
    Bag,
    IdCache,
    directions,
    token_counts,
    token_ids,
    train_bag,
)
from training.tiny.collection import Entry, collect, held_out, split_of
from training.tiny.counting import counting_entries
from training.tiny.examples import Sampler
from training.tiny.extraction import read_handbook, read_help
from training.tiny.fitting import fit_weights
from training.tiny.initial import config, write_initial
from training.tiny.lexical import disguised, lexical_weights, shortness
from training.tiny.lsa import embeddings, term_matrix
from training.tiny.options import Options
from training.tiny.pages import Page, Section, read_pages, write_pages
from training.tiny.questions import as_question
from training.tiny.release import rounded
from training.tiny.unified import Variant, train_unified
from training.tiny.vocabulary import train_tokenizer, write_tokenizer

from m3kit.backend.tokenizer import load_tokenizer
from m3kit.torch import TorchEncoder
from m3kit.vectors import Floats, Ints

HELP = """<html><div id="DisplayArea"><meta itemprop="keywords" content="tables; inserting">
<h1 id="hd_1">Inserting Tables</h1><p id="par_1">Choose <b>Table</b> -
Insert.</p><div class="howtoget"><p id="par_2">To access.</p></div>
<h2 id="hd_2">See also:</h2><p id="par_3">The\u200b end.</p></div></html>"""

HANDBOOK = """<html><body><h2 class="title">6.2. APT</h2><div class="para">It has <code>apt
update</code>: <div class="itemizedlist"><ul><li><div class="para">first</div></li></ul></div></div>
<pre class="screen">$ apt</pre></body></html>"""


class TestPages:
    def test_the_help_is_headings_paragraphs_and_keywords(self, tmp_path: Path) -> None:
        file = tmp_path / "de/text/swriter/a.html"
        file.parent.mkdir(parents=True)
        file.write_text(HELP, "utf-8")
        (page,) = read_help(tmp_path, "de")
        assert page == Page(
            "help",
            "de",
            "swriter/a.html",
            [
                Section(
                    "hd_1",
                    "Inserting Tables",
                    ["tables; inserting"],
                    {"par_1": "Choose Table - Insert."},
                ),
                Section("hd_2", "See also", [], {"par_3": "The end."}),
            ],
        )

    def test_the_handbook_is_headings_and_paragraphs_by_position(self, tmp_path: Path) -> None:
        (tmp_path / "en-US").mkdir()
        (tmp_path / "en-US/apt.html").write_text(HANDBOOK, "utf-8")
        (page,) = read_handbook(tmp_path, "en")
        (section,) = page.sections
        assert section.heading == "APT"
        assert list(section.paragraphs.values()) == ["It has apt update:", "first", "$ apt"]

    def test_what_is_written_is_read_again(self, tmp_path: Path) -> None:
        page = Page("help", "en", "a", [Section("h", "H", ["k"], {"p": "text"})])
        write_pages(tmp_path / "pages.jsonl", [page])
        assert list(read_pages(tmp_path / "pages.jsonl")) == [page]

    def test_another_text_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "help.en.jsonl"
        path.write_text("another\n")
        with pytest.raises(SystemExit, match="another text"):
            packages.check([path])

    def test_every_source_and_language_has_a_checksum(self) -> None:
        names = re.findall(r"^[0-9a-f]{64}  (\S+)$", packages.CHECKSUMS.read_text(), re.MULTILINE)
        assert len(names) == len(set(names)) == 20


def page(name: str, lang: str, *texts: str) -> Page:
    sections = [
        Section(f"h{n}", f"Title {n} {lang}", [], {f"p{n}": text}) for n, text in enumerate(texts)
    ]
    return Page("help", lang, name, sections)


def names_of(split: str) -> list[str]:
    return [name for n in range(400) if split_of(name := f"swriter/{n}.html") == split]


class TestCollection:
    def test_a_tenth_of_the_pages_is_the_sample_corpus_test_pages(self) -> None:
        names = [f"swriter/{n}.html" for n in range(2000)]
        assert [split_of(name) == "test" for name in names] == list(map(is_test_page, names))

    def test_what_is_trained_on_is_not_tested(self) -> None:
        test, train = names_of("test")[0], names_of("train")[0]
        shared = "This paragraph stands on a page of the test and on another page, word by word."
        alone = "This paragraph stands nowhere but on this page, so that it may be a test of it."
        entries = collect([page(test, "en", shared, alone), page(train, "en", shared)])
        assert [entry.sections["en"].text for entry in held_out(entries, "test")] == [alone]

    def test_what_is_still_english_is_no_translation(self) -> None:
        name = names_of("train")[0]
        text = "The style of a table is chosen in the sidebar, as are its rows."
        german = "Die Vorlage einer Tabelle wird in der Seitenleiste gewählt, auch die Zeilen."
        versions = [page(name, "en", text), page(name, "de", german), page(name, "fr", text)]
        (entry,) = collect(versions)
        assert entry.sections.keys() == {"en", "de"}


@pytest.mark.parametrize(
    ("heading", "verb"),
    [
        ("Inserting Tables", "insert Tables"),
        ("Using Styles", "use Styles"),
        ("Setting Tabs", "set Tabs"),
        ("Printing", "print"),
        ("Creating a Chart", "create a Chart"),
    ],
)
def test_a_gerund_becomes_a_question_with_its_verb(heading: str, verb: str) -> None:
    questions = {as_question(heading, "en", drawing) for drawing in map(random.Random, range(40))}
    assert f"how do I {verb}?" in questions


TEXTS = [
    f"{what} {how} the {where} of a {thing}."
    for what in ("Choose", "Delete", "Insert")
    for how in ("quickly", "slowly")
    for where in ("row", "column", "style")
    for thing in ("table", "page", "chart")
]
OPTIONS = Options(vocabulary=120, inner=96, positions=512, fit_steps=1000)


@pytest.fixture(scope="module")
def bag_and_folder(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bag, Path]:
    folder = tmp_path_factory.mktemp("initial")
    tokenizer = train_tokenizer(TEXTS * 20, OPTIONS.vocabulary)
    options = replace(OPTIONS, vocabulary=tokenizer.get_vocab_size())
    write_tokenizer(tokenizer, folder, options.positions)
    bag = new_bag(options.vocabulary)
    write_initial(bag, options, folder)
    return bag, folder


def new_bag(size: int) -> Bag:
    generator = np.random.default_rng(1)
    latent = generator.standard_normal((size, OPTIONS.pooled), dtype=np.float32)
    rows = directions(latent, OPTIONS.noise, seed=1)
    return Bag(rows, generator.random(size, dtype=np.float32), OPTIONS.width, seed=1)


def test_the_first_checkpoint_computes_nearly_what_the_bag_does(
    bag_and_folder: tuple[Bag, Path],
) -> None:
    bag, folder = bag_and_folder
    reader = load_tokenizer(folder, config(OPTIONS))
    with torch.no_grad():
        wanted = bag(*token_counts(token_ids(reader, TEXTS, 64))).numpy()
    encoder = TorchEncoder.from_pretrained(folder)
    dense = np.stack([o.dense for o in encoder.encode_documents(TEXTS) if o.dense is not None])
    pooled = dense[:, : OPTIONS.pooled]
    pooled /= np.linalg.norm(pooled, axis=1, keepdims=True)
    assert (pooled * wanted).sum(axis=1).min() > 0.9
    similarity = np.corrcoef((dense @ dense.T).ravel(), (wanted @ wanted.T).ravel())[0, 1]
    assert similarity > 0.95


def drawn_texts(size: int, *lengths: int) -> list[Ints]:
    generator = np.random.default_rng(7)
    return [generator.choice(generator.integers(4, size, 1 + n // 2), n) for n in lengths]


def with_special(texts: list[Ints]) -> list[Ints]:
    return [np.concatenate([[0], text, [2]]) for text in texts]


def test_lexical_weights_are_bm25s_for_texts_of_any_words_and_length(
    bag_and_folder: tuple[Bag, Path],
) -> None:
    bag, folder = bag_and_folder
    model, rarity = load_tiny(folder), (1 - bag.frequency).numpy()
    options = replace(OPTIONS, vocabulary=len(rarity))
    lengths = [1, 2, 3, 5, 8, 12, 20, 40, 80, 160, 300, 500]
    fit_weights(model, drawn_texts(len(rarity), *lengths * 8), rarity, options)
    texts = drawn_texts(len(rarity), 2, 10, 30, 100, 250, 450)
    with torch.no_grad():
        lexical = model(with_special(texts)).sparse
    assert lexical is not None
    wanted = np.concatenate(lexical_weights(texts, rarity))
    assert np.corrcoef(lexical.weights.numpy(), wanted)[0, 1] > 0.99
    assert lexical.weights.sum() == pytest.approx(wanted.sum(), rel=0.1)
    assert lexical.weights[wanted == 0].max() < 0.01


def test_lexical_weights_are_those_of_bm25() -> None:
    (weights,) = lexical_weights([np.array([0, 1, 1])], np.array([2.0, 3.0], dtype=np.float32))
    share = 1.2 * (0.25 + 0.75 * 3 / 100)
    wanted = [2 / (1 + share), 3 * 2 / (2 + share), 3 * 2 / (2 + share)]
    factor = 18 / 5  # of three tokens
    assert weights == pytest.approx([factor * 0.4 / 3 * weight for weight in wanted])


def test_the_most_frequent_tokens_have_no_lexical_weight() -> None:
    rarity = np.array([1.9, 2, 10], dtype=np.float32)
    (weights,) = lexical_weights([np.array([0, 1, 2])], rarity)
    assert (weights > 0).tolist() == [False, True, True]


def test_the_length_of_a_short_text_alone_is_a_factor() -> None:
    assert [shortness(tokens) for tokens in (1, 16, 17, 8192)] == [6, 1, 1, 1]


def test_a_disguised_text_repeats_its_tokens_where_the_text_does() -> None:
    ids = np.tile(np.arange(10, 60), 3)
    other = disguised(ids, 1000, random.Random(1))  # noqa: S311  # no secret depends on it
    assert other.reshape(3, 50).tolist() == [other[:50].tolist()] * 3
    assert 10 < int((other[:50] != ids[:50]).sum()) < 40


def test_stage_1_keeps_directions_near_and_scores_tokens_by_rarity_alone(
    bag_and_folder: tuple[Bag, Path],
) -> None:
    bag, folder = bag_and_folder
    size, reader, moved = len(bag.frequency), load_tokenizer(folder, config(OPTIONS)), []
    options = replace(OPTIONS, vocabulary=size, bag_steps=20, bag_batch=8, bag_rate=0.05)
    for weight in (0.0, 100.0):
        after, sampler = new_bag(size), Sampler(entries(), seed=1)
        train_bag(after, reader, sampler, replace(options, bag_kept_weight=weight), print)
        rows = (after.words.weight, bag.words.weight)
        moved.append(1 - torch.cosine_similarity(*rows, dim=1).mean().item())
        scored = after.score.nonzero().ravel() - OPTIONS.width
        assert scored.tolist() == [RARITY, FREQUENCY]
    assert moved[1] < moved[0] / 4


def test_a_text_is_tokenized_once(bag_and_folder: tuple[Bag, Path]) -> None:
    reader = load_tokenizer(bag_and_folder[1], config(OPTIONS))
    cache = IdCache(reader)
    wanted = token_ids(reader, [*TEXTS[:3], ""], 8)
    for _ in range(2):
        for row, ids in zip(cache([*TEXTS[:3], ""], 8), wanted, strict=True):
            assert row.tolist() == ids.tolist()
    assert [len(row) for row in cache(TEXTS[:1], 4)] == [2]


def entries() -> list[Entry]:
    drawn = random.Random(1)  # noqa: S311  # no secret depends on it
    pages = []
    for name in names_of("train")[:60]:
        title, *texts = drawn.sample(TEXTS, 4)
        for lang in ("en", "de", "fr", "es", "it", "pt", "ru", "ja", "zh", "ko"):
            heading, text = (
                part if lang == "en" else part.replace(" ", f" {lang}")  # other words
                for part in (title, " ".join(texts))
            )
            pages.append(Page("help", lang, name, [Section("h0", heading, [], {"p0": text})]))
    return collect(pages)


def trained(bag: Bag, folder: Path, **more: float) -> dict[str, torch.Tensor]:
    lengths = {"query_length": 16, "passage_length": 32, "long_length": 48}
    size = len(bag.frequency)
    given = {"steps": 3, "fit_batches": 1, "fit_steps": 3, **more}
    options = replace(OPTIONS, vocabulary=size, batch=4, **lengths, **given)  # type: ignore[arg-type]
    rarity = (1 - bag.frequency).numpy()
    model = train_unified(
        folder, Sampler(entries(), seed=1), rarity, options, print, variant=Variant()
    )
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


@pytest.fixture(scope="module")
def after_stage_2(bag_and_folder: tuple[Bag, Path]) -> dict[str, torch.Tensor]:
    return trained(*bag_and_folder)


def test_stage_2_is_the_same_by_the_same_seed(
    bag_and_folder: tuple[Bag, Path], after_stage_2: dict[str, torch.Tensor]
) -> None:
    again = trained(*bag_and_folder)
    assert all(torch.equal(tensor, again[name]) for name, tensor in after_stage_2.items())


def test_stage_2_trains_everything_but_what_counts(
    bag_and_folder: tuple[Bag, Path], after_stage_2: dict[str, torch.Tensor]
) -> None:
    begun = load_tiny(bag_and_folder[1]).state_dict()
    for name, tensor in after_stage_2.items():
        if any(part in name for part in ("position", "token_type", "pooler", "sparse_linear")):
            continue
        kept = counting_entries(name, tensor, OPTIONS)
        changed = (tensor != begun[name]) & ~kept
        assert changed.any(), name
        if "layer.1." in name and "attention" not in name:
            continue  # where the fit sets units, and what reads them
        assert torch.equal(tensor[kept], begun[name][kept]), name


def test_dense_vectors_of_other_texts_are_kept(bag_and_folder: tuple[Bag, Path]) -> None:
    bag, folder = bag_and_folder
    model = load_tiny(folder)
    texts = with_special(drawn_texts(len(bag.frequency), *[8] * 20))

    def dense() -> torch.Tensor:
        with torch.no_grad():
            found: torch.Tensor = model(texts).dense
        return found

    begun, distances = dense(), []
    for weight in (0, 100):
        more = {"steps": 10, "rate": 5e-3, "kept_weight": weight}
        model.load_state_dict(trained(bag, folder, **more))
        distances.append(1 - (dense() * begun).sum(1).mean().item())
    assert distances[1] < distances[0] / 2


def test_frequent_tokens_are_alike(bag_and_folder: tuple[Bag, Path]) -> None:
    bag, _ = bag_and_folder
    with torch.no_grad():
        rows = bag.embeddings(bag.frequency.argsort(descending=True))
    assert rows.norm(dim=1).numpy() == pytest.approx(1, abs=1e-5)
    assert (rows[:5] @ rows[:5].T).min() > 0.5 > (rows[-5:] @ rows[-5:].T).min()


def test_translations_are_near_from_the_start() -> None:
    pairs = [("table", "Tabelle"), ("row", "Zeile"), ("page", "Seite"), ("chart", "Diagramm")]
    groups = [[f"the {a[0]} {b[0]}", f"die {a[1]} {b[1]}"] for a in pairs for b in pairs if a != b]
    tokenizer = train_tokenizer([text for group in groups for text in group] * 20, 90)
    rows = embeddings(term_matrix(groups, tokenizer), 6, seed=1)

    def vector(word: str) -> Floats:
        ids = tokenizer.encode(word, add_special_tokens=False).ids
        total = rows[ids].sum(axis=0)
        unit: Floats = total / np.linalg.norm(total)
        return unit

    for english, german in pairs:
        near = {other: float(vector(english) @ vector(other)) for _, other in pairs}
        assert max(near, key=lambda word: near[word]) == german


def test_batches_depend_on_the_seed_alone() -> None:
    names = names_of("train")
    pages = [page(name, "en", f"The {name} of tables. It has rows. And cells.") for name in names]
    entries = collect(pages)

    def drawn(seed: int) -> list[list[str]]:
        sampler = Sampler(entries, seed)
        return [sampler.batch(8).passages for _ in range(20)]

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)
    assert all(len(set(passages)) == len(passages) for passages in drawn(1))


def test_each_row_is_rounded_to_a_grid_of_its_own() -> None:
    random = torch.Generator().manual_seed(0)
    rows = torch.randn(3, 4000, generator=random) * torch.tensor([[3.0], [0.01], [0.0]])
    stored = rounded(rows)
    assert stored.dtype == torch.float16
    for row, kept, spread in zip(rows, stored.float(), (3.0, 0.01, 0.0), strict=True):
        assert float((row - kept).abs().max()) <= spread / 16 * 1.05
        assert len(kept.unique()) < 150
    assert torch.equal(rounded(rows[0]), rows[0].half())
