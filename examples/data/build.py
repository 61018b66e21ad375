"""
Build the sample corpus from LibreOffice's help, which is exactly aligned across its languages.

    python examples/data/build.py                   # downloads the Debian packages with apt-get
    python examples/data/build.py --packages DIR    # takes the .deb files that are in DIR

Every heading and paragraph of the help has an id that is the same in all translations. A section is
one heading with the paragraphs below it, and its translations are the same ids on the same page of
another language. The same packages give the same bytes: nothing depends on time, chance or a model.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import tempfile
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import md5
from html.parser import HTMLParser
from pathlib import Path

HERE = Path(__file__).parent
FOLDERS = {"en": "en-US", "de": "de", "fr": "fr", "ja": "ja", "ru": "ru", "zh": "zh-CN"}

SECTIONS = 250  # how many are chosen
PER_PAGE = 8  # of them at most, so that no page dominates
KEYWORDS = 1  # of a section and language at most, to save bytes
CUT = 160  # characters of English after which a long section ends with its paragraph
LENGTHS = range(60, 240)  # of an English passage, in characters; sets the size of the whole
TELLING = 40  # characters; a shorter paragraph ("Click OK.") may stand on many pages

HEADINGS = {"h1", "h2", "h3", "h4", "h5", "h6"}
VOID = {"area", "base", "br", "col", "hr", "img", "input", "link", "meta", "source", "wbr"}
# Beside the running text: menu paths, lists of links, pictograms.
ASIDES = {"howtoget", "relatedtopics", "related", "noteicon"}
# What a line of text cannot show: the section is left out.
FIGURES = {"table", "pre", "icontable", "code", "smathcode", "codeintable", "example", "image"}
APPS = {
    "sbasic": "BASIC",
    "scalc": "CALC",
    "schart": "CHART",
    "sdatabase": "BASE",
    "sdraw": "DRAW",
    "simpress": "IMPRESS",
    "smath": "MATH",
    "swriter": "WRITER",
}
# The wide punctuation of Chinese and Japanese; no space stands after it.
STOPS = "、。，：；！？"  # noqa: RUF001 - the wide forms are meant
COLON = {"fr": " : ", "ja": "：", "zh": "："}  # noqa: RUF001 - here too
LETTER = {  # of the language's own script: the name of a function is not a translation
    lang: re.compile(r"[^\W\d_a-zA-Z]" if lang in ("ja", "ru", "zh") else r"[^\W\d_]")
    for lang in FOLDERS
}
# Letters per character of English; with fewer, it is the translation of an older text or of half.
FEWEST = {"de": 0.5, "fr": 0.5, "ja": 0.25, "ru": 0.5, "zh": 0.15}
SENTENCE = re.compile(r"[.:;!?][)\]\"'\u201d\u2019]*$")
SLIP = re.compile(r"[<>]|[a-z]\.[A-Z][a-z]|\.\. ")  # of the source: a stray tag, a lost space
ANNOUNCES = re.compile(r"(:|\b(follows|below)\.)$")  # what comes next, in English
SEE_ALSO = re.compile(r"\b(see|siehe|voir|см\.)\s|参照|参见|参阅|请看")


# --- reading a page ---------------------------------------------------------------------------


@dataclass(slots=True)
class Node:
    """An element of a page; `kids` holds its text and elements in order."""

    tag: str
    attrs: Mapping[str, str]
    kids: list[Node | str] = field(default_factory=list)

    @property
    def kind(self) -> str:
        return self.attrs.get("class", "")

    def nodes(self) -> Iterator[Node]:
        return (kid for kid in self.kids if isinstance(kid, Node))

    def every(self) -> Iterator[Node]:
        yield self
        for node in self.nodes():
            yield from node.every()


class Tree(HTMLParser):
    """The element tree of a page. The help is generated and well nested: nothing is repaired."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.root = Node("", {})
        self._open = [self.root]
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        node = Node(tag, {name: value or "" for name, value in attrs})
        self._open[-1].kids.append(node)
        if tag not in VOID:
            self._open.append(node)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        self._open[-1].kids.append(data)


@dataclass(slots=True)
class Section:
    """A heading and what stands below it, up to the next heading of any level."""

    id: str
    number: int  # on its page, from 1
    heading: str
    paragraphs: dict[str, str] = field(default_factory=dict)  # by id, in order
    keywords: list[str] = field(default_factory=list)
    figures: bool = False


def variant(switch: Node, app: str) -> Node:
    """The branch that a reader of this application on Linux sees; a script shows it in the help."""
    branches = {node.kind: node for node in switch.nodes() if node.kind not in ("MAC", "WIN")}
    for kind in (app, "", *branches):
        if kind in branches:
            return branches[kind]
    return Node("", {})


def flat(node: Node, app: str) -> Node:
    """The page without asides, and with one branch in the place of each switch."""
    kids: list[Node | str] = []
    for kid in node.kids:
        if isinstance(kid, str):
            kids.append(kid)
        elif kid.kind in ("switch", "switchinline"):
            kids += flat(variant(kid, app), app).kids
        elif kid.kind not in ASIDES:
            kids.append(flat(kid, app))
    return Node(node.tag, node.attrs, kids)


def raw(node: Node) -> str:
    """The element's text as it stands in the file."""
    if node.tag == "br":
        return " "
    return "".join(kid if isinstance(kid, str) else raw(kid) for kid in node.kids)


def text_of(node: Node) -> str:
    """The element's text on one line, without invisible characters, punctuation set close."""
    text = unicodedata.normalize("NFC", raw(node))
    text = re.sub("[\u00ad\u200b\u200e\u200f\ufeff]", "", text)
    text = re.sub(r"\s+", " ", text).strip()
    return re.sub(rf"(?<=[(\[「]) | (?=[.,)\]](?!\w)|[{STOPS}」])", "", text)


def read_page(file: Path, page: str) -> tuple[list[Section], set[str]]:
    """The sections of a page, and the texts of all its paragraphs, even in tables and asides."""
    area = next(
        node
        for node in Tree(file.read_text("utf-8")).root.every()
        if node.attrs.get("id") == "DisplayArea"
    )
    sections = [Section("", 0, "")]  # what stands before the first heading
    keywords: list[str] = []  # those of what comes next

    def walk(node: Node) -> None:
        section = sections[-1]
        if {node.tag, *node.kind.split()} & FIGURES:
            section.figures = True
        elif node.attrs.get("itemprop") == "keywords":
            if not SEE_ALSO.search(node.attrs["content"]):
                keywords.append(re.sub(r"\s*,\s*", " ", node.attrs["content"]).strip())
        elif node.tag in HEADINGS:
            heading = text_of(node).rstrip(" .:。" + COLON["zh"])
            sections.append(Section(node.attrs.get("id", ""), len(sections), heading))
            sections[-1].keywords += keywords
            keywords.clear()
        elif node.tag == "p" and "id" in node.attrs and (text := text_of(node)):
            section.paragraphs[node.attrs["id"]] = text
            section.figures |= text.startswith("=") or not {"sub", "sup"}.isdisjoint(
                kid.tag for kid in node.every()
            )
            section.keywords += keywords
            keywords.clear()
        else:
            for kid in node.nodes():
                walk(kid)

    walk(flat(area, APPS.get(page.partition("/")[0], "")))
    return sections[1:], {text_of(node) for node in area.every() if node.tag == "p"}


# --- from pages to entries --------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Help:
    """The test pages in all languages, and what tells whether English text stands elsewhere."""

    pages: Mapping[str, dict[str, list[Section]]]  # language -> page -> sections
    headings: Counter[str]  # how many headings of the whole English help have this text
    elsewhere: set[str]  # the English paragraphs of the other pages


@dataclass(frozen=True, slots=True)
class Version:
    """A section in one language."""

    title: str
    text: str
    queries: Mapping[str, str]  # text -> kind


@dataclass(frozen=True, slots=True)
class Entry:
    """A section in English and in the languages into which it is really translated."""

    id: str
    page: str
    versions: Mapping[str, Version]


def held_out(page: str) -> bool:
    """Whether it is a test page. They are a tenth; models are trained on the others."""
    return int(md5(page.encode(), usedforsecurity=False).hexdigest(), 16) % 100 < 10


def cut(section: Section) -> list[str]:
    """The ids of the paragraphs that make the passage: all, or the first ones of a long section."""
    ids: list[str] = []
    length = 0
    for id_, text in section.paragraphs.items():
        if length < CUT:
            ids.append(id_)
            length += len(text) + 1
    while ids and ANNOUNCES.search(section.paragraphs[ids[-1]]):  # and what it announces is cut off
        ids.pop()
    return ids


def leading(section: Section, first: Section, help_: Help) -> Section:
    """Whose heading begins the title: the page's, if the section's own says little ("Options")."""
    words = section.heading.casefold().split()
    generic = len(words) < 3 or "this" in words or help_.headings[section.heading] > 1
    return first if generic else section


def fit(section: Section, lead: Section, help_: Help) -> bool:
    """Whether it is plain text of the right length, clear by itself, and not on the other pages."""
    texts = [section.paragraphs[id_] for id_ in cut(section)]
    telling = [text for text in texts if len(text) >= TELLING] or texts
    return (
        not section.figures
        and LETTER["en"].search(section.heading) is not None
        and all(SENTENCE.search(text) for text in texts)
        and len(" ".join(texts)) in LENGTHS
        and (" " in lead.heading or help_.headings[lead.heading] == 1)
        and sum(text in help_.elsewhere for text in telling) < 0.34 * len(telling)
    )


def section_queries(title: str, section: Section, english: Section, lang: str) -> dict[str, str]:
    """The queries that the section answers, with their kind, as far as they are translated."""
    left = {english.heading, *english.keywords} if lang != "en" else set()
    kinds = {} if section.heading in left else {title.casefold(): (title, "heading")}
    for keyword in [word for word in section.keywords if word not in left][:KEYWORDS]:
        kinds.setdefault(keyword.casefold(), (keyword, "keyword"))
    return {text: kind for text, kind in kinds.values() if LETTER[lang].search(text)}


def passage(section: Section, ids: Iterable[str], lang: str) -> str:
    """The paragraphs on one line; Chinese and Japanese put no space after a full stop."""
    text = " ".join(section.paragraphs[id_] for id_ in ids)
    return re.sub(rf"(?<=[{STOPS}]) ", "", text) if lang in ("ja", "zh") else text


def translated(section: Section, english: Section, lang: str) -> bool:
    """Whether every paragraph of the passage is there, and the text is in the language."""
    ids = cut(english)
    if any(section.paragraphs.get(id_) in (None, english.paragraphs[id_]) for id_ in ids):
        return False
    letters = len(LETTER[lang].findall(passage(section, ids, lang)))
    return letters >= FEWEST[lang] * len(passage(english, ids, "en"))


def version(section: Section, lead: Section, english: Section, lang: str) -> Version | None:
    """The section in one language, under a title that `lead` begins; None if it is untidy."""
    if lang != "en" and not translated(section, english, lang):
        return None
    text = passage(section, cut(english), lang)
    if SLIP.search(text) or not LETTER[lang].search(lead.heading):
        return None
    title = section.heading
    if not title.startswith(lead.heading):
        title = lead.heading + COLON.get(lang, ": ") + title
    return Version(title, text, section_queries(title, section, english, lang))


def entry(page: str, english: Section, lead: Section, help_: Help) -> Entry:
    """Put a section's translations together."""
    versions: dict[str, Version] = {}
    for lang, pages in help_.pages.items():
        for section in pages.get(page, ()):
            first = section if lead is english else pages[page][0]
            if section.id == english.id and (text := version(section, first, english, lang)):
                versions[lang] = text
    return Entry(f"{page.removesuffix('.html').replace('/', '-')}-{english.number}", page, versions)


def entries(help_: Help) -> Iterator[Entry]:
    """Every section that is fit; the help shows some on several pages."""
    known: set[str] = set()
    for page, sections in help_.pages["en"].items():
        ids = Counter(section.id for section in sections)
        for section in sections:
            lead = leading(section, sections[0], help_)
            if ids[section.id] == 1 and fit(section, lead, help_):
                candidate = entry(page, section, lead, help_)
                english = candidate.versions.get("en")
                if english and known.isdisjoint((english.title, english.text)):
                    known |= {english.title, english.text}
                    yield candidate


def choose(candidates: Iterable[Entry]) -> list[Entry]:
    """Those in most languages first, and else in the order of a hash, which favours none."""

    def rank(entry: Entry) -> tuple[int, bytes]:
        return -len(entry.versions), md5(entry.id.encode(), usedforsecurity=False).digest()

    per_page: Counter[str] = Counter()
    chosen: list[Entry] = []
    for candidate in sorted(candidates, key=rank):
        if len(chosen) < SECTIONS and per_page[candidate.page] < PER_PAGE:
            per_page[candidate.page] += 1
            chosen.append(candidate)
    return sorted(chosen, key=lambda entry: entry.id)


# --- packages in, files out -------------------------------------------------------------------


def run(*command: str, cwd: Path) -> None:
    subprocess.run(command, cwd=cwd, check=True)  # noqa: S603 - fixed commands, no shell


def unpack(packages: Path | None, into: Path) -> Path:
    """Unpack the packages, downloaded if none are given, and return the folder of the help."""
    names = [f"libreoffice-help-{folder.lower()}" for folder in FOLDERS.values()]
    if packages is None:
        packages = into
        run("apt-get", "download", *names, cwd=into)
    for name in names:
        debs = sorted(packages.resolve().glob(f"{name}_*.deb"))
        if not debs:
            raise SystemExit(f"{packages} has no {name}_*.deb")
        run("dpkg", "-x", str(debs[-1]), ".", cwd=into)
    return into / "usr/share/libreoffice/help"


def read_help(folder: Path) -> Help:
    """Read the English pages and the test pages of the other languages."""
    help_ = Help({lang: {} for lang in FOLDERS}, Counter(), set())
    headings: dict[str, str] = {}  # by id: some stand on several pages
    for lang, name in FOLDERS.items():
        text = folder / name / "text"
        for file in sorted(text.rglob("*.html")):
            page = file.relative_to(text).as_posix()
            test = held_out(page) and "/00/" not in page  # 00: fragments that other pages show
            if test or lang == "en":
                sections, paragraphs = read_page(file, page)
                if lang == "en":
                    headings |= {section.id: section.heading for section in sections}
                if test:
                    help_.pages[lang][page] = sections
                else:
                    help_.elsewhere.update(paragraphs)
    help_.headings.update(headings.values())
    return help_


def queries(chosen: Sequence[Entry]) -> Iterator[tuple[dict[str, str], str]]:
    """The queries, each with the section that answers it; ambiguous ones are left out."""
    answers = sorted(
        (lang, kind, text, entry.id)
        for entry in chosen
        for lang, version in entry.versions.items()
        for text, kind in version.queries.items()
    )
    uses = Counter((lang, text.casefold()) for lang, _, text, _ in answers)
    number: Counter[str] = Counter()
    for lang, kind, text, section in answers:
        if uses[lang, text.casefold()] == 1:
            number[lang] += 1
            id_ = f"{lang}-{number[lang]:03}"
            yield {"id": id_, "text": text, "lang": lang, "kind": kind}, section


def corpus(chosen: Iterable[Entry]) -> Iterator[dict[str, object]]:
    for entry in chosen:
        for lang, version in sorted(entry.versions.items()):
            metadata = {"lang": lang, "section": entry.id, "title": version.title}
            yield {"id": f"{entry.id}.{lang}", "text": version.text, "metadata": metadata}


def write(name: str, lines: Iterable[str]) -> None:
    (HERE / name).write_text("".join(f"{line}\n" for line in lines), "utf-8", newline="\n")
    print(f"{name:14}{(HERE / name).stat().st_size:9,} bytes")


def write_json(name: str, values: Iterable[Mapping[str, object]]) -> None:
    compact = (",", ":")
    write(name, (json.dumps(value, ensure_ascii=False, separators=compact) for value in values))


def main() -> None:
    parser = argparse.ArgumentParser(description="Build the sample corpus from LibreOffice's help.")
    parser.add_argument("--packages", type=Path, metavar="DIR", help="a folder of .deb files")
    with tempfile.TemporaryDirectory() as scratch:
        help_ = read_help(unpack(parser.parse_args().packages, Path(scratch)))
    chosen = choose(entries(help_))
    answered = list(queries(chosen))
    write_json("corpus.jsonl", corpus(chosen))
    write_json("queries.jsonl", (query for query, _ in answered))
    write("qrels.tsv", (f"{query['id']}\t{section}\t1" for query, section in answered))
    whole = sum(len(entry.versions) == len(FOLDERS) for entry in chosen)
    print(f"{len(chosen)} sections, {whole} of them in all languages")
    print("\n| language | passages | heading queries | keyword queries |\n|---|---:|---:|---:|")
    kinds = Counter((query["lang"], query["kind"]) for query, _ in answered)
    for lang in FOLDERS:
        count = sum(lang in entry.versions for entry in chosen)
        print(f"| {lang} | {count} | {kinds[lang, 'heading']} | {kinds[lang, 'keyword']} |")


if __name__ == "__main__":
    main()
