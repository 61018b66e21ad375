"""The Debian packages that are trained on: fetched by apt, extracted, checked."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from training.tiny.extraction import HANDBOOK, HELP, read_handbook, read_help
from training.tiny.pages import Page, read_pages, write_pages

PACKAGES = [*(f"libreoffice-help-{folder.lower()}" for folder in HELP.values()), "debian-handbook"]
CHECKSUMS = Path(__file__).with_name("checksums.txt")
"""SHA-256 of the extracted text of each source and language, as sha256sum writes it."""

_READERS: dict[str, tuple[str, Callable[[Path, str], Iterator[Page]], list[str]]] = {
    "help": ("usr/share/libreoffice/help", read_help, list(HELP)),
    "handbook": ("usr/share/doc/debian-handbook/html", read_handbook, list(HANDBOOK)),
}


def extract(into: Path, packages: Path | None = None, workers: int = 1) -> list[Path]:
    """
    Extract the text of all packages, or take what was extracted before.

    Args:
        into: Where packages and texts are written.
        packages: A folder of .deb files; by default apt-get downloads them.
        workers: How many processes read pages.

    Raises:
        SystemExit: If a text is another than the one that was trained on.
    """
    texts = [into / f"{source}.{lang}.jsonl" for source in _READERS for lang in _READERS[source][2]]
    missing = [path for path in texts if not path.is_file()]
    if missing:
        unpacked = fetch(PACKAGES, into, packages)
        with ProcessPoolExecutor(workers) as pool:
            list(pool.map(_extract, missing, [unpacked] * len(missing)))
    check(texts)
    return texts


def pages(texts: list[Path]) -> list[Page]:
    """Read extracted texts."""
    return [page for path in texts for page in read_pages(path)]


def check(texts: list[Path]) -> None:
    """
    Compare texts with the committed checksums.

    Raises:
        SystemExit: If one differs.
    """
    lines = CHECKSUMS.read_text("utf-8").splitlines()
    expected = {name: digest for digest, name in (line.split("  ") for line in lines)}
    for path in texts:
        if expected.get(path.name) != (digest := _digest(path)):
            raise SystemExit(
                f"{path} has the checksum {digest}, and {CHECKSUMS.name} has "
                f"{expected.get(path.name)}: this build of the package has another text; take "
                "the version that the README names, or update the checksums and train anew"
            )


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _extract(path: Path, unpacked: Path) -> None:
    source, lang, _ = path.name.split(".")
    folder, reader, _ = _READERS[source]
    unfinished = path.with_suffix(".part")
    write_pages(unfinished, reader(unpacked / folder, lang))
    unfinished.replace(path)


def fetch(names: Sequence[str], into: Path, debs: Path | None = None) -> Path:
    """
    Unpack packages, and return the root of their files.

    Args:
        names: The packages.
        into: Where they are unpacked.
        debs: A folder of .deb files; by default apt-get downloads those that are not in `into`.

    Raises:
        SystemExit: If one is not there.
    """
    unpacked, folder = into / "unpacked", debs or into / "packages"
    unpacked.mkdir(parents=True, exist_ok=True)
    if debs is None:
        folder.mkdir(exist_ok=True)
        absent = [name for name in names if not list(folder.glob(f"{name}_*.deb"))]
        if absent:
            subprocess.run(["apt-get", "download", *absent], cwd=folder, check=True)  # noqa: S603, S607
    for name in names:
        files = sorted(folder.glob(f"{name}_*.deb"))
        if not files:
            raise SystemExit(f"{folder} has no {name}_*.deb; download it with apt-get")
        subprocess.run(["dpkg", "-x", str(files[-1]), str(unpacked)], check=True)  # noqa: S603, S607
    return unpacked
