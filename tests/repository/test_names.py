"""A name is a noun that the field's documentation would use."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

PLACEHOLDERS = {
    "asked",
    "came",
    "found",
    "held",
    "kept",
    "one",
    "own",
    "said",
    "some",
    "theirs",
    "there",
    "told",
}
"""Words that stand in for a noun without saying which."""


FOLDERS = ["src", "integrations", "examples", "benchmarks"]
FOLDERS += [f"tests/{name}" for name in ("adapters", "conformance", "milvus", "qdrant", "vespa")]


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_name_is_a_placeholder(folder: str) -> None:
    files = sorted((ROOT / folder).rglob("*.py"))
    assert files, folder
    offenders = [offender for file in files for offender in placeholders(file)]
    assert not offenders, f"{len(offenders)} placeholders as names:\n" + "\n".join(offenders)


@pytest.mark.parametrize(
    "source",
    [
        "one = 1",
        "for some in (): pass",
        "def _own(): ...",
        "def read(*, held): ...",
        "def read(*told): ...",
        "class Said: ...",
        "self.found = 1",
        "class Point:\n    held: int",
        "[said for said in ()]",
        "(told := 1)",
        "import json as there",
        "from json import loads as came",
        "f = lambda asked: asked",
        "match x:\n    case [kept]: ...",
        "match x:\n    case {'a': 1, **kept}: ...",
        "match x:\n    case [*kept]: ...",
        "try: ...\nexcept OSError as said: ...",
    ],
)
def test_the_check_sees_every_kind_of_name(tmp_path: Path, source: str) -> None:
    file = tmp_path / "module.py"
    file.write_text(source)
    assert len(list(placeholders(file))) >= 1


def test_the_check_reads_a_module_s_name_and_leaves_longer_names_alone(tmp_path: Path) -> None:
    (tmp_path / "own.py").touch()
    longer = tmp_path / "module.py"
    longer.write_text("owner = one_based = 'one'\nclass NotFoundError: ...\nprint(owner.own)")
    assert [line.rpartition(":")[2] for line in placeholders(tmp_path / "own.py")] == [
        " the module itself"
    ]
    assert list(placeholders(longer)) == []


def placeholders(file: Path) -> Iterator[str]:
    """Yield `file:line: name` for each place where a placeholder names something."""
    where = file.relative_to(ROOT) if file.is_relative_to(ROOT) else file
    if _is_placeholder(file.stem):
        yield f"{where}: the module itself"
    seen: set[tuple[int, str]] = set()
    for line, name in sorted(_names(ast.parse(file.read_text(encoding="utf-8")))):
        if _is_placeholder(name) and (line, name) not in seen:
            seen.add((line, name))
            yield f"{where}:{line}: {name}"


def _names(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield every name that the code gives to something, with its line."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield node.lineno, name
            case ast.ClassDef(name=name) | ast.Name(id=name, ctx=ast.Store()):
                yield node.lineno, name
            case ast.Attribute(attr=name, ctx=ast.Store()) | ast.arg(arg=name):
                yield node.lineno, name
            case (
                ast.alias(asname=str(name))
                | ast.MatchAs(name=str(name))
                | ast.MatchStar(name=str(name))
                | ast.MatchMapping(rest=str(name))
                | ast.ExceptHandler(name=str(name))
            ):
                yield node.lineno, name
            case _:
                pass


def _is_placeholder(name: str) -> bool:
    return name.strip("_").lower() in PLACEHOLDERS
