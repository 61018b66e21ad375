"""The locks hold what `pyproject.toml` asks for, with hashes, and name no host."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from requirements.install import in_turn, packages
from requirements.lock import ENVIRONMENTS

ROOT = Path(__file__).parents[2]
LOCKS = ROOT / "requirements"
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
_ENTRY = re.compile(
    r"(?P<pin>[\w.-]+==[^ ;]+(?: ; [^\\\n]+?)?)(?: \\\n    --hash=sha256:[0-9a-f]{64})+\n"
)


def _pins(text: str) -> list[Requirement]:
    return [Requirement(entry["pin"]) for entry in _ENTRY.finditer(text)]


def _text(name: str) -> str:
    return (LOCKS / f"{name}.txt").read_text(encoding="utf-8")


def _extra(name: str) -> Iterator[Requirement]:
    for asked in map(Requirement, PYPROJECT["project"]["optional-dependencies"][name]):
        if asked.name == PYPROJECT["project"]["name"]:
            for extra in sorted(asked.extras):
                yield from _extra(extra)
        else:
            yield asked


def _group(name: str) -> Iterator[Requirement]:
    asked: str | dict[str, Any]
    for asked in PYPROJECT["dependency-groups"][name]:
        if isinstance(asked, str):
            yield Requirement(asked)
        else:
            yield from _group(asked["include-group"])


def _asked(name: str) -> Iterator[Requirement]:
    environment = ENVIRONMENTS[name]
    if environment.extras:
        yield from map(Requirement, PYPROJECT["project"]["dependencies"])
    for extra in environment.extras:
        yield from _extra(extra)
    for group in ("build", *environment.groups):
        yield from _group(group)


def test_every_environment_has_a_lock_and_every_lock_an_environment() -> None:
    assert {path.stem for path in LOCKS.glob("*.txt")} == set(ENVIRONMENTS)


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_a_lock_is_pins_with_hashes_and_nothing_else(name: str) -> None:
    _, _, entries = _text(name).partition("\n")
    assert _ENTRY.sub("", entries) == ""


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_a_lock_names_no_host(name: str) -> None:
    assert "//" not in _text(name)


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_a_lock_has_all_that_is_asked_for_in_a_version_that_is_allowed(name: str) -> None:
    pins = [(canonicalize_name(pin.name), pin) for pin in _pins(_text(name))]
    for asked in _asked(name):
        chosen = [pin for key, pin in pins if key == canonicalize_name(asked.name)]
        assert chosen, f"{asked} is missing: make lock"
        for pin in chosen:
            (exact,) = pin.specifier
            assert asked.specifier.contains(exact.version, prereleases=True), f"{asked}: {pin}"


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_the_locked_pip_installs_the_rest(name: str) -> None:
    first, whole = in_turn(_text(name))
    assert [pin.name for pin in _pins(f"{first}\n")] == ["pip"]
    assert whole == _text(name)


@pytest.mark.parametrize("name", ["demo", "milvus"])
def test_what_is_part_of_the_tests_has_their_versions(name: str) -> None:
    part, test = (
        {(pin.name, str(pin.specifier)) for pin in _pins(_text(lock))} for lock in (name, "test")
    )
    assert part <= test


def _bounded() -> Iterator[tuple[str, Requirement]]:
    yield from (("lowest", asked) for asked in _extra("all"))
    for asked in map(Requirement, PYPROJECT["project"]["optional-dependencies"]["train"]):
        if asked.name != PYPROJECT["project"]["name"]:
            yield "lowest-train", asked


@pytest.mark.parametrize(
    ("lock", "asked"), [*_bounded()], ids=lambda value: getattr(value, "name", value)
)
def test_the_lowest_versions_are_the_lower_bounds(lock: str, asked: Requirement) -> None:
    python = {"python_version": "3.11", "python_full_version": "3.11.0"}
    versions = {
        canonicalize_name(pin.name): str(pin.specifier).removeprefix("==")
        for pin in _pins(_text(lock))
        if pin.marker is None or pin.marker.evaluate(python)
    }
    (bound,) = [part.version for part in asked.specifier if part.operator == ">="]
    assert Version(versions[canonicalize_name(asked.name)]) == Version(bound)


def test_the_build_system_is_locked() -> None:
    assert set(PYPROJECT["build-system"]["requires"]) <= set(
        PYPROJECT["dependency-groups"]["build"]
    )


@pytest.mark.parametrize("site", ["lib/python3.11/site-packages", "Lib/site-packages"])
def test_another_build_of_pytorch_stays(site: str, tmp_path: Path) -> None:
    plain = {pin.name for pin in _pins(packages("demo", tmp_path))}
    (tmp_path / site / "torch-2.9.0+cpu.dist-info").mkdir(parents=True)
    left = {pin.name for pin in _pins(packages("demo", tmp_path))}
    assert {"torch", "triton", "nvidia-cublas"} <= plain - left
    assert {"numpy", "tokenizers", "qdrant-client", "hatchling"} <= left
